//! `keelson-bench`: figures of this machine, each beside its peer's where there is one, with the conditions they were
//! taken under. Nothing here passes or fails; the tests do that.

mod command;
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

use anyhow::bail;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use command::{Arguments, Command, Task};
use options::Options;
use report::{Conditions, Report};

fn main() -> anyhow::Result<()> {
    let Arguments { options, command } = Arguments::parse();
    options.validate()?;
    let limit = matches!(command, Command::Limit);
    let tasks = command.tasks()?;
    let conditions = Conditions::now(&options);
    conditions.print();
    // One thread: see `load`. What must not wait for it, the server without work, has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // Members are not ended by an interrupt typed at the terminal, but by the end of what runs them.
        tokio::select! {
            done = run(tasks, limit, &options, Report::new(conditions)) => done,
            interrupted = interrupted() => { interrupted?; bail!("interrupted") }
        }
    })
}

async fn run(tasks: Vec<Task>, limit: bool, options: &Options, mut report: Report) -> anyhow::Result<()> {
    for task in tasks {
        let works = match task {
            Task::Works(works) => works,
            Task::Idle(idle) => {
                idle.run(options).await?;
                continue;
            }
            Task::Failover(failover) => {
                failover.run(options).await?;
                continue;
            }
        };
        for work in works {
            let work = work.as_ref();
            let comparison =
                if limit { driver::limit(work, options).await? } else { driver::compare(work, options).await? };
            comparison.print();
            // After each, so that what was measured is kept when a later work fails.
            report.add(comparison);
            report.write(options)?;
        }
    }
    Ok(())
}

async fn interrupted() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}
