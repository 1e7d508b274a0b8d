//! `keelson-bench`: figures of this machine, each beside its peer's where there is one, with the conditions they were
//! taken under. Nothing here passes or fails; the tests do that.

mod etcd;
mod failover;
mod idle;
mod load;
mod report;
mod write_rate;

use clap::{Parser, Subcommand};

/// Benchmarks of Keelson, beside etcd where it has a peer.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything, one after the other.
    All,
    /// Memory of the idle members, and the time from start to ready.
    Idle(idle::Idle),
    /// Puts per second beside etcd, three members each, alternating runs.
    WriteRate(write_rate::WriteRate),
    /// How long after a kill -9 of the leader writes are accepted and pods are bound again.
    Failover(failover::Failover),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    report::conditions();
    runtime.block_on(async {
        match arguments.command {
            Command::All => {
                idle::Idle::default().run().await?;
                write_rate::WriteRate::default().run().await?;
                failover::Failover::default().run().await
            }
            Command::Idle(idle) => idle.run().await,
            Command::WriteRate(write_rate) => write_rate.run().await,
            Command::Failover(failover) => failover.run().await,
        }
    })
}
