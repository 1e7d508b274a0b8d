//! `keelson-bench`: figures of this machine, each beside its peer's where there is one, with the conditions they were
//! taken under. Nothing here passes or fails; the tests do that.

mod driver;
mod failover;
mod figure;
mod idle;
mod load;
mod options;
mod report;
mod side;
mod wire;
mod works;

use clap::{Parser, Subcommand};

use driver::Work;
use options::Options;
use report::Conditions;

/// Benchmarks of Keelson, beside etcd where it has a peer.
///
/// Each work starts three members of etcd and three of Keelson, runs alternately on both, and prints medians, the ratio of
/// ours to etcd's with its spread, and what is wanted.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything, one after the other.
    All,
    /// Puts over all members.
    Put {
        /// How many clients, each with one request in flight.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
        clients: Vec<usize>,
        /// Size of a value in bytes.
        #[arg(long, default_value_t = works::VALUE_BYTES)]
        value_bytes: usize,
    },
    /// Memory of the idle members, and the time from start to ready.
    Idle(idle::Idle),
    /// How long after a kill -9 of the leader writes are accepted and pods are bound again.
    Failover(failover::Failover),
}

fn main() -> anyhow::Result<()> {
    let Arguments { options, command } = Arguments::parse();
    options.validate()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let conditions = Conditions::now(&options);
    conditions.print();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (clients, value_bytes) = match command {
            Command::Put { clients, value_bytes } => (clients, value_bytes),
            Command::Idle(idle) => return idle.run().await,
            Command::Failover(failover) => return failover.run().await,
            Command::All => {
                idle::Idle::default().run().await?;
                failover::Failover::default().run().await?;
                (vec![1, 100, 1_000], works::VALUE_BYTES)
            }
        };
        for clients in clients {
            let work = works::Put::new(clients, value_bytes);
            driver::compare(&work as &dyn Work, &options).await?.print();
        }
        Ok(())
    })
}
