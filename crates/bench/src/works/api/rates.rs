//! GET, LIST, PATCH and create by so many clients.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use rand::Rng as _;
use rand::rngs::SmallRng;

use super::super::keys;
use super::{MILLION_NODES, OBJECTIVES, ONE_OBJECT, UPDATES, fill, namespace, objects, path, unpublished};
use crate::driver::Work;
use crate::figure::{Figure, P99, Published, RATE, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Failure, Rest, Verb};

const NAMESPACE: &str = "bench-rates";
/// Objects that are read, listed or patched. A list fetches all of them.
const OBJECTS: usize = 500;
/// Bytes of each that are not its metadata.
const DATA_BYTES: usize = 1 << 10;
const IN_FLIGHT: usize = 50;
/// Runs at most: there are a dozen of these works.
const RUNS_MAX: usize = 2;

/// One verb by so many clients over all members.
#[derive(Clone, Debug)]
pub struct Rates {
    pub what: What,
    pub clients: usize,
}

/// Of the benchmark by which consistent lists were moved to the cache; of small objects, on other machines.
const CONSISTENT_LISTS: &str = "p99 648 ms, 21.8 s when read from etcd; p99 ≤ 30 s (objective)";
const CONSISTENT_READS: &str =
    "https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/2340-Consistent-reads-from-cache";

/// What each request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// One object.
    Get,
    /// 500 objects.
    List,
    /// A strategic merge patch of one object.
    Patch,
    /// A new object.
    Create,
}

#[async_trait(?Send)]
impl Work for Rates {
    fn title(&self) -> String {
        let what = match self.what {
            What::Get => format!("GET of a configmap of {DATA_BYTES} B"),
            What::List => format!("LIST of {OBJECTS} configmaps of {DATA_BYTES} B"),
            What::Patch => format!("PATCH of a configmap of {DATA_BYTES} B"),
            What::Create => format!("create of a configmap of {DATA_BYTES} B"),
        };
        let clients = if self.clients == 1 { "1 client".to_owned() } else { format!("{} clients", self.clients) };
        format!("API: {what}, {clients}")
    }

    fn published(&self) -> Vec<Published> {
        let late = match self.what {
            What::List => Published { figure: P99, text: CONSISTENT_LISTS, source: CONSISTENT_READS },
            What::Get | What::Patch | What::Create => Published { figure: P99, text: ONE_OBJECT, source: OBJECTIVES },
        };
        let rate = match self.what {
            What::Create => Published {
                figure: RATE,
                text: "1,000 pods/s, GKE with 130,000 nodes and a store of its own",
                source: "Google Cloud blog, How we built a 130,000-node GKE cluster, November 2025",
            },
            What::Patch => Published { figure: RATE, text: UPDATES, source: MILLION_NODES },
            What::Get | What::List => unpublished(RATE),
        };
        vec![rate, late]
    }

    fn has_peer(&self) -> bool {
        false
    }

    fn pairs(&self, asked: usize) -> usize {
        asked.min(RUNS_MAX)
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        namespace(side, NAMESPACE).await?;
        let object = |number| objects::config_map(&name(number), number, DATA_BYTES);
        match self.what {
            What::Create => Ok(()),
            What::Get | What::List | What::Patch => fill(side, &collection(), OBJECTS, IN_FLIGHT, object).await,
        }
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        // What one run creates is not there in the next.
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let connections = load::connect_to_api(side, self.clients).await?;
        let clients = (connections.into_iter().enumerate()).map(|(client, rest)| Asking {
            rest,
            what: self.what,
            prefix: format!("new-{run}-{client}"),
            done: 0,
            random: keys::random(client),
        });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

fn collection() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

fn name(number: usize) -> String {
    format!("map-{number:04}")
}

struct Asking {
    rest: Rest,
    what: What,
    /// Of the names that it gives.
    prefix: String,
    done: usize,
    random: SmallRng,
}

impl Client for Asking {
    async fn step(&mut self) -> Result<(), Failure> {
        self.done += 1;
        let collection = collection();
        let any = format!("{collection}/{}", name(self.random.next_u32() as usize % OBJECTS));
        match self.what {
            What::Get => {
                self.rest.call(Verb::Get, path(&any)?, Bytes::new()).await?;
            }
            What::List => {
                let bytes = self.rest.get_length(path(&format!("{collection}?limit={OBJECTS}"))?).await?;
                // Without reading it: an answer with all objects is longer than all their values.
                if bytes <= (OBJECTS * DATA_BYTES) as u64 {
                    return Err(Failure::Answer("objects are missing"));
                }
            }
            What::Patch => {
                let patch = format!(r#"{{"data":{{"patched":"{}"}}}}"#, self.random.next_u64());
                self.rest.call(Verb::StrategicPatch, path(&any)?, patch.into()).await?;
            }
            What::Create => {
                let name = format!("{}-{}", self.prefix, self.done);
                let object = objects::config_map(&name, self.done, DATA_BYTES);
                self.rest.call(Verb::Post, path(&collection)?, object).await?;
            }
        }
        Ok(())
    }
}
