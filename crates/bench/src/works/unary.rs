//! One list of very many small keys, in one answer: how long it takes, and how much memory the member takes for it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse};

use super::{fill, keys, large};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Target};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Method};

/// Where the keys are.
const PREFIX: &str = "/bench/unary/";
/// Size of each value: the keys are what is many.
const SMALL_VALUE_BYTES: usize = 16;
/// After so long the list counts as failed.
const LIST_WITHIN: Duration = Duration::from_secs(600);

/// One list of many small keys in a single answer, and the member's memory meanwhile.
#[derive(Clone, Debug, clap::Args)]
pub struct Unary {
    /// How many keys.
    #[arg(long, default_value_t = 1_000_000)]
    pub keys: usize,
}

#[async_trait(?Send)]
impl Work for Unary {
    fn title(&self) -> String {
        format!("one list of {} keys of {SMALL_VALUE_BYTES} B in a single answer", self.keys)
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: "RSS, list", bound: Bound::AtMost(1_024.0), etcd_alone: "", limit: "" }]
    }

    fn pairs(&self, _: usize) -> usize {
        // A second run would find the keys there.
        1
    }

    async fn run(&self, side: &Side, _: &Options) -> anyhow::Result<Vec<Figure>> {
        fill::keys(side, PREFIX, self.keys, SMALL_VALUE_BYTES).await?;
        let endpoint = side.leader_first().await?.remove(0);
        let mut connection = Connection::open(&endpoint).await?;
        let before = side.resident_bytes().into_iter().max().unwrap_or(0);
        let peak = Cell::new(before);
        let started = Instant::now();
        let request = RangeRequest { key: PREFIX.into(), range_end: keys::end_of(PREFIX), ..RangeRequest::default() };
        let list = connection.ask::<RangeResponse>(Method::Range, &request);
        let answer = tokio::select! {
            answer = tokio::time::timeout(LIST_WITHIN, list) => answer.context("the list takes too long")??,
            () = large::sample(side, &peak) => unreachable!("it samples until it is dropped"),
        };
        let seconds = started.elapsed().as_secs_f64();
        ensure!(answer.kvs.len() == self.keys, "the list has {} keys of {}", answer.kvs.len(), self.keys);
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Ok(vec![
            Figure::higher("list, unary", "keys/s", self.keys as f64 / seconds),
            Figure::lower("RSS, before", "MiB", mebibytes(before)),
            Figure::lower("RSS, list", "MiB", mebibytes(peak.get())),
        ])
    }
}
