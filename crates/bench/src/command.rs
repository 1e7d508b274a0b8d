//! The command line: one subcommand a work, and what `all` and `limit` are made of.

use clap::{Parser, Subcommand};

use crate::driver::Work;
use crate::options::Options;
use crate::works::{self, Watch};
use crate::{failover, idle};

/// Everything, as one would type it; the parameters are each work's defaults.
pub const ALL: [&str; 16] = [
    "put",
    "read",
    "read --serializable",
    "mixed",
    "update",
    "list",
    "watch",
    "watch-many",
    "keep-alive",
    "versions",
    "compaction",
    "large",
    "check-perf --load=l",
    "check-perf --load=xl",
    "idle",
    "failover",
];

/// What the server without work can serve.
pub const LIMITS: [&str; 8] = [
    "put",
    "read",
    "read --serializable",
    "mixed",
    "update",
    "keep-alive",
    "check-perf --load=l",
    "check-perf --load=xl",
];

/// Benchmarks of Keelson, beside etcd where it has a peer.
///
/// Each work starts a cluster of etcd and one of Keelson, of three members each, runs on both in turn, and prints medians,
/// the ratio of ours to etcd's with its spread over the pairs of runs, and what is wanted. Both clusters are ended and
/// erased afterwards. Figures depend on the machine, and on what else it does: only the ratios of one run say something.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  keelson-bench put --clients 100\n  keelson-bench put --clients 1,100,1000 --only ours --keelson \
                  target/release/keelson\n  keelson-bench all --json figures.json --plot figures.svg    # about half an hour"
)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything, one after the other: about half an hour.
    All,
    /// The clients alone: the works that a server without work can serve, against one.
    Limit,
    /// Puts over all members.
    Put {
        /// How many clients, each with one request in flight; several numbers are measured one after the other.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
        clients: Vec<usize>,
        /// Size of a value in bytes.
        #[arg(long, default_value_t = works::VALUE_BYTES)]
        value_bytes: usize,
    },
    Read(works::Read),
    Mixed(works::Mixed),
    Update(works::Update),
    List(works::List),
    /// 200 watchers of one prefix, each on a stream of its own, and 4 writers.
    Watch,
    /// 10,000 watchers of 100 prefixes on 100 connections, and 4 writers.
    WatchMany,
    KeepAlive(works::KeepAlive),
    Versions(works::Versions),
    Compaction(works::Compaction),
    Large(works::Large),
    CheckPerf(works::CheckPerf),
    Idle(idle::Idle),
    Failover(failover::Failover),
}

/// What a subcommand stands for.
pub enum Task {
    /// Measured beside etcd, one after the other.
    Works(Vec<Box<dyn Work>>),
    /// Ours alone.
    Idle(idle::Idle),
    /// Ours alone.
    Failover(failover::Failover),
}

impl Command {
    /// What it stands for.
    ///
    /// # Errors
    /// Never, unless `ALL` is wrong, which a test excludes.
    pub fn tasks(self) -> Result<Vec<Task>, clap::Error> {
        let one = |work: Box<dyn Work>| Ok(vec![Task::Works(vec![work])]);
        match self {
            Self::All => parse(&ALL),
            Self::Limit => parse(&LIMITS),
            Self::Put { clients, value_bytes } => {
                let work = |clients| Box::new(works::Put { clients, value_bytes }) as Box<dyn Work>;
                Ok(vec![Task::Works(clients.into_iter().map(work).collect())])
            }
            Self::Read(read) => one(Box::new(read)),
            Self::Mixed(mixed) => one(Box::new(mixed)),
            Self::Update(update) => one(Box::new(update)),
            Self::List(list) => one(Box::new(list)),
            Self::Watch => one(Box::new(Watch::FAN_OUT)),
            Self::WatchMany => one(Box::new(Watch::CROWD)),
            Self::KeepAlive(keep_alive) => one(Box::new(keep_alive)),
            Self::Versions(versions) => one(Box::new(versions)),
            Self::Compaction(compaction) => one(Box::new(compaction)),
            Self::Large(large) => one(Box::new(large)),
            Self::CheckPerf(check) => one(Box::new(check)),
            Self::Idle(idle) => Ok(vec![Task::Idle(idle)]),
            Self::Failover(failover) => Ok(vec![Task::Failover(failover)]),
        }
    }
}

fn parse(lines: &[&str]) -> Result<Vec<Task>, clap::Error> {
    let mut tasks = Vec::new();
    for line in lines {
        let words = std::iter::once("keelson-bench").chain(line.split(' '));
        tasks.extend(Arguments::try_parse_from(words)?.command.tasks()?);
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn works(lines: &[&str]) -> Vec<Box<dyn Work>> {
        let tasks = parse(lines).expect("the lines are right");
        let works = tasks.into_iter().filter_map(|task| match task {
            Task::Works(works) => Some(works),
            Task::Idle(_) | Task::Failover(_) => None,
        });
        works.flatten().collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn all_measures_everything_and_each_under_a_title_of_its_own() {
        let mut titles: Vec<String> = works(&ALL).iter().map(|work| work.title()).collect();
        assert_eq!(titles.len(), 16, "put is three of them");
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), 16);
        let named: Vec<&str> = ALL.iter().filter_map(|line| line.split(' ').next()).collect();
        for command in Arguments::command().get_subcommands().map(clap::Command::get_name) {
            assert!(["all", "limit"].contains(&command) || named.contains(&command), "{command} is not in `all`");
        }
    }

    #[test]
    fn limits_are_those_works_that_have_one() {
        assert!(works(&LIMITS).iter().all(|work| work.has_limit()));
        assert_eq!(works(&LIMITS).len(), works(&ALL).iter().filter(|work| work.has_limit()).count());
    }
}
