//! `keelson`: the server of a control plane's member, the node agent, and the local cluster.

use clap::{Parser, Subcommand};

/// A multi-master control plane for containers.
#[derive(Debug, Parser)]
#[command(name = "keelson", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one member: store, API, scheduler and controllers in one process.
    Server(Box<keelson::server::Arguments>),
    /// Run nodes: register them, and run the pods that are bound to them.
    Agent(Box<keelson::agent::Arguments>),
    /// Back the store up, restore it, and import etcd's keys.
    #[command(subcommand)]
    Store(keelson::store::Store),
    /// Run a whole cluster on this machine.
    Dev(keelson::dev::commands::Dev),
}

// Requests come and go as many small allocations on several threads, at which the system's allocator spends more time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Server(arguments) => arguments.run(),
        Command::Agent(arguments) => arguments.run(),
        Command::Store(store) => store.run(),
        Command::Dev(dev) => dev.run(),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keelson: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
