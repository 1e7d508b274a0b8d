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

use clap::Parser as _;

use command::{Arguments, Command, Task};
use report::{Conditions, Report};

fn main() -> anyhow::Result<()> {
    let Arguments { options, command } = Arguments::parse();
    options.validate()?;
    let limit = matches!(command, Command::Limit);
    let tasks = command.tasks()?;
    let conditions = Conditions::now(&options);
    conditions.print();
    let mut report = Report::new(conditions);
    // One thread: see `load`. What must not wait for it, the server without work, has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        for task in tasks {
            let works = match task {
                Task::Works(works) => works,
                Task::Idle(idle) => {
                    idle.run().await?;
                    continue;
                }
                Task::Failover(failover) => {
                    failover.run().await?;
                    continue;
                }
            };
            for work in works {
                let work = work.as_ref();
                let comparison =
                    if limit { driver::limit(work, &options).await? } else { driver::compare(work, &options).await? };
                comparison.print();
                // After each, so that what was measured is kept when a later work fails.
                report.add(comparison);
                report.write(&options)?;
            }
        }
        Ok(())
    })
}
