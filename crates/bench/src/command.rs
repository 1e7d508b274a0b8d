//! The command line: one subcommand a work, and what `all` and `limit` are made of.

use std::num::NonZeroU32;

use clap::{Parser, Subcommand};

use crate::driver::Work;
use crate::options::Options;
use crate::works::api::What;
use crate::works::{self, Watch};
use crate::{failover, idle};

/// Everything, as one would type it; the parameters are each work's defaults.
pub const ALL: [&str; 17] = [
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
    "unary",
    "check-perf --load=l",
    "check-perf --load=xl",
    "idle",
    "failover",
];

/// The works on the API server, which `all` ends with.
pub const API: [&str; 5] = ["api-memory", "api-list", "api-watch", "api-lease", "api-rates"];

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

/// Benchmarks of Keelson, beside etcd where it has a peer, and beside what was published of kube-apiserver.
///
/// Each work starts a cluster of etcd and one of Keelson, of three members each, runs on both in turn, and prints medians,
/// the ratio of ours to etcd's with its spread over the pairs of runs, and what is wanted. Both clusters are ended and
/// erased afterwards. Works on the API server run on Keelson alone. Figures depend on the machine, and on what else it does: only the ratios of one run say something.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  keelson-bench put --clients 100\n  keelson-bench put --clients 1,100,1000 --only ours --keelson \
                  target/release/keelson\n  keelson-bench all --json figures.json --plot figures.svg    # about forty minutes"
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
    /// Everything, one after the other: about forty minutes.
    All,
    /// The API server: everything about it, one after the other, in about ten minutes.
    Api,
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
    Unary(works::Unary),
    CheckPerf(works::CheckPerf),
    ApiMemory(works::api::Memory),
    ApiList(works::api::List),
    /// Watchers of a busy kind, at a steady rate of writes and at the highest: delay of events, and CPU.
    ApiWatch {
        /// How many watchers.
        #[arg(long, default_value_t = 1_000)]
        watchers: usize,
        /// They share so many connections.
        #[arg(long, default_value_t = 99)]
        connections: usize,
        /// How many writers, each with one write in flight.
        #[arg(long, default_value_t = 4)]
        writers: usize,
        /// Writes a second, 0 for as many as the writers can do; several numbers are measured one after the other.
        #[arg(long, value_delimiter = ',', default_values_t = [50, 0])]
        writes_per_second: Vec<u32>,
    },
    ApiLease(works::api::Lease),
    /// GET, LIST, PATCH and create.
    ApiRates {
        /// How many clients, each with one request in flight; several numbers are measured one after the other.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 50, 500])]
        clients: Vec<usize>,
        /// What the requests are.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [What::Get, What::List, What::Patch, What::Create])]
        verbs: Vec<What>,
    },
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
            Self::All => {
                let mut tasks = parse(&ALL)?;
                tasks.extend(parse(&API)?);
                Ok(tasks)
            }
            Self::Api => parse(&API),
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
            Self::Unary(unary) => one(Box::new(unary)),
            Self::CheckPerf(check) => one(Box::new(check)),
            Self::ApiMemory(memory) => one(Box::new(memory)),
            Self::ApiList(list) => one(Box::new(list)),
            Self::ApiWatch { watchers, connections, writers, writes_per_second } => {
                let work = |rate| {
                    let watch =
                        works::api::Watch { watchers, connections, writers, writes_per_second: NonZeroU32::new(rate) };
                    Box::new(watch) as Box<dyn Work>
                };
                Ok(vec![Task::Works(writes_per_second.into_iter().map(work).collect())])
            }
            Self::ApiLease(lease) => one(Box::new(lease)),
            Self::ApiRates { clients, verbs } => {
                let pairs = verbs.into_iter().flat_map(|what| clients.iter().map(move |clients| (what, *clients)));
                let work = |(what, clients)| Box::new(works::api::Rates { what, clients }) as Box<dyn Work>;
                Ok(vec![Task::Works(pairs.map(work).collect())])
            }
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
        assert_eq!(titles.len(), 17, "put is three of them");
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), 17);
        let lines = ALL.iter().chain(&API);
        let named: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
        for command in Arguments::command().get_subcommands().map(clap::Command::get_name) {
            assert!(
                ["all", "api", "limit"].contains(&command) || named.contains(&command),
                "{command} is not in `all`"
            );
        }
    }

    #[test]
    fn what_is_about_the_api_is_measured_without_a_peer_and_each_under_a_title_of_its_own() {
        let works = works(&API);
        assert!(works.iter().all(|work| !work.has_peer() && !work.has_limit() && !work.published().is_empty()));
        let mut titles: Vec<String> = works.iter().map(|work| work.title()).collect();
        assert_eq!(titles.len(), 17, "two rates of writes, and four verbs by three numbers of clients");
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), 17);
    }

    #[test]
    fn limits_are_those_works_that_have_one() {
        assert!(works(&LIMITS).iter().all(|work| work.has_limit()));
        assert_eq!(works(&LIMITS).len(), works(&ALL).iter().filter(|work| work.has_limit()).count());
    }
}
