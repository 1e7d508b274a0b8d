//! Much data: how fast it is loaded and listed, how much memory a member takes for that, and what others notice of it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse, RangeStreamResponse};
use prost::Message as _;

use super::keys::{self, Walk};
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Target, milliseconds};
use crate::load::{self, Client, Load, Tally};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method, frame};

/// Where the keys are.
const PREFIX: &str = "/bench/large/";
/// Bytes of values in one answer of a list in pages: 10,000 keys of 1 KiB.
const PAGE_BYTES: usize = 10_000 << 10;
/// How often the members' memory is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);
/// Pause between two puts of the one client that notices stalls.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// After so long the load, or one list, counts as failed.
const STEP_WITHIN: Duration = Duration::from_secs(3_600);

/// Load many keys, then list all of them: speed, memory of the members, and what others notice.
#[derive(Clone, Debug, clap::Args)]
pub struct Large {
    /// How many keys: 3000000 for 3 GB.
    #[arg(long, default_value_t = 300_000)]
    pub keys: usize,
    /// Size of each value, which does not compress. 2000000 keys of 10240 bytes are 20 GB a member.
    #[arg(long, default_value_t = 1 << 10, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub value_bytes: u32,
}

#[async_trait(?Send)]
impl Work for Large {
    fn title(&self) -> String {
        format!("{} keys of {} B: load, then list all", self.keys, self.value_bytes)
    }

    fn targets(&self) -> Vec<Target> {
        let at_most = |figure| Target { figure, bound: Bound::AtMost(1_024.0), etcd_alone: "", limit: "" };
        let stall = Target { figure: "loaded by empty", bound: Bound::AtMost(1.5), etcd_alone: "", limit: "" };
        vec![stall, at_most("RSS, pages"), at_most("RSS, stream")]
    }

    fn pairs(&self, _: usize) -> usize {
        // A second run would find the keys there.
        1
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let alone = async || {
            let waiting = async {
                tokio::time::sleep(options.window().measured).await;
                Ok(())
            };
            let (_, _, puts) = self.watched(side, waiting).await?;
            anyhow::Ok(milliseconds(&puts.latencies, 0.99))
        };
        let empty = alone().await?;
        let (seconds, peak, probe) = self.watched(side, self.fill(side)).await?;
        figures.push(Figure::higher("load", "keys/s", self.keys as f64 / seconds));
        figures.push(Figure::lower("RSS, load", "MiB", peak));
        figures.push(Figure::lower("p99 of puts, load", "ms", milliseconds(&probe.latencies, 0.99)));
        figures.push(Figure::lower("slowest put, load", "ms", milliseconds(&probe.latencies, 1.0)));
        let merging = alone().await?;
        figures.push(Figure::lower("p99 of puts, just loaded", "ms", merging));
        figures.push(Figure::lower("just loaded by empty", "×", merging / empty));
        // Both sort and merge for a while what came in so fast.
        figures.push(Figure::lower("until quiet", "s", side.quiet().await?.as_secs_f64()));
        let loaded = alone().await?;
        figures.push(Figure::lower("p99 of puts, empty", "ms", empty));
        figures.push(Figure::lower("p99 of puts, loaded", "ms", loaded));
        figures.push(Figure::lower("loaded by empty", "×", loaded / empty));
        let endpoint = side.leader_first().await?.remove(0);
        let connection = Connection::open(&endpoint).await?;
        let (seconds, peak, probe) = self.watched(side, self.list_by_pages(connection.clone())).await?;
        figures.push(Figure::higher("list, pages", "keys/s", self.keys as f64 / seconds));
        figures.push(Figure::lower("RSS, pages", "MiB", peak));
        figures.push(Figure::lower("p99 of puts, pages", "ms", milliseconds(&probe.latencies, 0.99)));
        figures.push(Figure::lower("slowest put, pages", "ms", milliseconds(&probe.latencies, 1.0)));
        if is_streamed(connection.clone()).await? {
            let (seconds, peak, probe) = self.watched(side, self.list_by_stream(connection)).await?;
            figures.push(Figure::higher("list, stream", "keys/s", self.keys as f64 / seconds));
            figures.push(Figure::lower("RSS, stream", "MiB", peak));
            figures.push(Figure::lower("p99 of puts, stream", "ms", milliseconds(&probe.latencies, 0.99)));
            figures.push(Figure::lower("slowest put, stream", "ms", milliseconds(&probe.latencies, 1.0)));
        }
        Ok(figures)
    }
}

impl Large {
    async fn fill(&self, side: &Side) -> anyhow::Result<()> {
        fill::keys(side, PREFIX, self.keys, self.value_bytes as usize).await
    }

    fn page_keys(&self) -> i64 {
        (PAGE_BYTES / self.value_bytes as usize).max(1) as i64
    }

    /// Does something while one client puts now and then and the members' memory is looked at: how many seconds it took, the
    /// most memory that a member had in MiB, and the puts.
    async fn watched(
        &self,
        side: &Side,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<(f64, f64, Tally)> {
        let connection = load::connect(side, 1).await?.remove(0);
        let probe =
            Load::start([Probing { connection, walk: Walk::new(keys::puts("/bench/probe/", VALUE_BYTES), 0) }])?;
        let peak = Cell::new(0);
        let started = Instant::now();
        tokio::select! {
            done = tokio::time::timeout(STEP_WITHIN, work) => done.context("it takes too long")??,
            () = sample(side, &peak) => {}
        }
        let seconds = started.elapsed().as_secs_f64();
        // Of none there are no latencies.
        probe.reach(1).await?;
        let puts = probe.cut()?;
        probe.stop().await?;
        ensure!(puts.errors == 0, "{} puts failed: {}", puts.errors, puts.first_error.unwrap_or_default());
        Ok((seconds, peak.get() as f64 / f64::from(1 << 20), puts))
    }

    async fn list_by_pages(&self, mut connection: Connection) -> anyhow::Result<()> {
        let mut next = Bytes::from_static(PREFIX.as_bytes());
        // All pages are of the revision of the first.
        let mut revision = 0;
        let mut found = 0;
        loop {
            let request = RangeRequest { key: next, limit: self.page_keys(), revision, ..whole() };
            let page: RangeResponse = connection.ask(Method::Range, &request).await?;
            found += page.kvs.len();
            if revision == 0 {
                revision = page.header.context("an answer without a header")?.revision;
            }
            let Some(last) = page.kvs.last().filter(|_| page.more) else { break };
            next = [&last.key[..], &[0]].concat().into();
        }
        ensure!(found == self.keys, "the list has {found} keys of {}", self.keys);
        Ok(())
    }

    async fn list_by_stream(&self, mut connection: Connection) -> anyhow::Result<()> {
        let mut stream = connection.stream_of_answers(Method::RangeStream, frame(&whole()))?;
        let mut found = 0;
        while let Some(part) = stream.next().await? {
            found += RangeStreamResponse::decode(part)?.range_response.map_or(0, |part| part.kvs.len());
        }
        ensure!(found == self.keys, "the list has {found} keys of {}", self.keys);
        Ok(())
    }
}

/// The request for everything.
fn whole() -> RangeRequest {
    RangeRequest { key: PREFIX.into(), range_end: keys::end_of(PREFIX), ..RangeRequest::default() }
}

/// Whether the server streams lists: etcd does so from 3.7.
async fn is_streamed(mut connection: Connection) -> anyhow::Result<bool> {
    let request = frame(&RangeRequest { limit: 1, ..whole() });
    let mut stream = connection.stream_of_answers(Method::RangeStream, request)?;
    loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(failure) if failure.is_unimplemented() => return Ok(false),
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Notes the most memory that any member has, until it is dropped.
pub(super) async fn sample(side: &Side, peak: &Cell<u64>) {
    loop {
        let most = side.resident_bytes().into_iter().max().unwrap_or(0);
        peak.set(peak.get().max(most));
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
}

/// A client that puts now and then, so that a stall is noticed.
struct Probing {
    connection: Connection,
    walk: Walk,
}

impl Client for Probing {
    const PAUSE: Duration = PROBE_PAUSE;

    async fn step(&mut self) -> Result<(), Failure> {
        self.connection.call(Method::Put, self.walk.next()).await?;
        Ok(())
    }
}
