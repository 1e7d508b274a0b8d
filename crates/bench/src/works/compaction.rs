//! Compaction of a long history while a load goes on: how far its rate dips, and what happens to its latencies.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use keelson_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse,
};

use super::keys::{self, Walk};
use super::put::Putting;
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, ERRORS, Figure, Target, milliseconds};
use crate::load::{self, Load, Tally};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Endpoint, Method};

/// Puts in flight while the history is made.
const IN_FLIGHT: usize = 1_000;
/// How often it is asked whether the bytes are gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The bytes of the history are gone when a member uses less than this part of what it used: what remains is of the keys
/// themselves, and what was put meanwhile.
const LEFT_PART: i64 = 2;
/// The history is one of so many keys.
const HISTORY_KEYS: usize = 10_000;
/// The measurement before has so many parts. The one during the compaction lasts until its bytes are gone from every member, and
/// at least three times as long as the one before; its worst stretch of the same length counts.
const PARTS: usize = 5;
const PARTS_DURING: usize = 3 * PARTS;
/// After so long a compaction counts as failed.
const COMPACT_WITHIN: Duration = Duration::from_secs(300);
/// Pairs of runs: each run takes a minute or two.
const PAIRS_MAX: usize = 2;

/// Compaction of a long history under a load of puts.
#[derive(Clone, Debug, clap::Args)]
pub struct Compaction {
    /// How many revisions are compacted.
    #[arg(long, default_value_t = 1_000_000)]
    pub revisions: usize,
    /// How many clients put meanwhile.
    #[arg(long, default_value_t = 100)]
    pub clients: usize,
}

#[async_trait(?Send)]
impl Work for Compaction {
    fn title(&self) -> String {
        format!("compaction of {} revisions under puts of {VALUE_BYTES} B by {} clients", self.revisions, self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        let at_most = |figure, bound| Target { figure, bound: Bound::AtMost(bound), etcd_alone: "", limit: "" };
        vec![at_most("dip", 10.0), at_most("p99 by that before", 2.0)]
    }

    fn pairs(&self, asked: usize) -> usize {
        asked.min(PAIRS_MAX)
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let pool = keys::puts("/bench/compaction/", VALUE_BYTES);
        let history = Rc::clone(&pool);
        let history = Rc::new(move |number: usize| history[number % HISTORY_KEYS.min(history.len())].clone());
        fill::all(side, Method::Put, self.revisions, IN_FLIGHT, history).await?;
        let connections = load::connect(side, self.clients).await?;
        let clients = (connections.into_iter().enumerate())
            .map(|(client, connection)| Putting { connection, walk: Walk::new(Rc::clone(&pool), client) });
        let load = Load::start(clients)?;
        let window = options.window();
        tokio::time::sleep(window.warm_up).await;
        let part = window.part(PARTS as u32);
        let mut before = Vec::new();
        while before.len() < PARTS {
            before.push(load.measure(part).await?);
        }
        let compacting = tokio::task::spawn_local(compact(side.leader_first().await?));
        let mut during = Vec::new();
        while during.len() < PARTS_DURING || !compacting.is_finished() {
            during.push(load.measure(part).await?);
        }
        load.stop().await?;
        let given_back = compacting.await.context("the compaction panicked")??;
        let dips = Dips::of(&before, &during)?;
        Ok(vec![
            Figure::higher("rate before", "/s", dips.rate_before),
            Figure::higher("rate during", "/s", dips.rate_during),
            Figure::lower("dip", "%", 100.0 * (1.0 - dips.rate_during / dips.rate_before)),
            Figure::lower("p99 before", "ms", dips.p99_before),
            Figure::lower("p99 during", "ms", dips.p99_during),
            Figure::lower("p99 by that before", "×", dips.p99_during / dips.p99_before),
            Figure::lower("compaction answered", "s", given_back.answered.as_secs_f64()),
            Figure::lower("bytes gone everywhere", "s", given_back.gone.as_secs_f64()),
            Figure::lower("in use before", "MiB", mebibytes(given_back.bytes_before)),
            Figure::lower("in use after", "MiB", mebibytes(given_back.bytes_after)),
            Figure::lower(ERRORS, "", before.iter().chain(&during).map(|part| part.errors).sum::<u64>() as f64),
        ])
    }
}

/// The load before, and in the worst time of the same length from the compaction on.
#[derive(Debug, PartialEq)]
struct Dips {
    rate_before: f64,
    rate_during: f64,
    p99_before: f64,
    p99_during: f64,
}

impl Dips {
    /// Of the parts of two measurements, the second at least as long as the first.
    fn of(before: &[Tally], during: &[Tally]) -> anyhow::Result<Self> {
        let whole = |parts: &[Tally]| {
            let mut whole = Tally::new()?;
            parts.iter().try_for_each(|part| whole.add(part))?;
            anyhow::Ok((whole.per_second(), milliseconds(&whole.latencies, 0.99)))
        };
        let (rate_before, p99_before) = whole(before)?;
        let (mut rate_during, mut p99_during) = (f64::INFINITY, 0.0_f64);
        for window in during.windows(before.len()) {
            let (rate, p99) = whole(window)?;
            (rate_during, p99_during) = (rate_during.min(rate), p99_during.max(p99));
        }
        Ok(Self { rate_before, rate_during, p99_before, p99_during })
    }
}

/// What a compaction came to.
struct GivenBack {
    /// After how long its answer came.
    answered: Duration,
    /// After how long every member used less than a part of the bytes that it had used.
    gone: Duration,
    /// Of the member that used most.
    bytes_before: i64,
    bytes_after: i64,
}

fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Compacts everything up to now, and waits until the bytes of the history are gone from all members; those that a server
/// without work does not have are gone.
async fn compact(members: Vec<Endpoint>) -> anyhow::Result<GivenBack> {
    let mut connections = Vec::new();
    for member in &members {
        connections.push(Connection::open(member).await?);
    }
    let bytes_before = in_use(&mut connections).await?;
    let started = Instant::now();
    compact_at(&members[0]).await?;
    let answered = started.elapsed();
    loop {
        let now = in_use(&mut connections).await?;
        if now.iter().zip(&bytes_before).all(|(now, before)| *now <= before / LEFT_PART) {
            let most = |bytes: &[i64]| bytes.iter().copied().max().unwrap_or(0);
            let (bytes_before, bytes_after) = (most(&bytes_before), most(&now));
            return Ok(GivenBack { answered, gone: started.elapsed(), bytes_before, bytes_after });
        }
        ensure!(started.elapsed() < COMPACT_WITHIN, "of {bytes_before:?} bytes, {now:?} are still there");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Bytes that each member says to use.
async fn in_use(members: &mut [Connection]) -> anyhow::Result<Vec<i64>> {
    let mut bytes = Vec::new();
    for member in members {
        let status: StatusResponse = member.ask(Method::Status, &StatusRequest::default()).await?;
        bytes.push(status.db_size_in_use);
    }
    Ok(bytes)
}

/// Has the member compact everything up to now, physically.
async fn compact_at(leader: &Endpoint) -> anyhow::Result<()> {
    let mut connection = Connection::open(leader).await?;
    let read = RangeRequest { key: "/bench".into(), ..RangeRequest::default() };
    let newest: RangeResponse = connection.ask(Method::Range, &read).await?;
    let revision = newest.header.context("an answer without a header")?.revision;
    let request = CompactionRequest { revision, physical: true };
    let compacting = connection.ask::<CompactionResponse>(Method::Compact, &request);
    tokio::time::timeout(COMPACT_WITHIN, compacting).await.context("the compaction does not end")??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second with so many steps of so many milliseconds.
    fn second(steps: u64, milliseconds: u64) -> Tally {
        let mut tally = Tally::new().expect("a tally");
        for _ in 0..steps {
            load::record(&mut tally.latencies, Duration::from_millis(milliseconds));
        }
        tally.elapsed = Duration::from_secs(1);
        tally
    }

    #[test]
    fn the_worst_time_as_long_as_the_one_before_counts() {
        let before = [second(100, 2), second(100, 2)];
        // A dip that a longer time would hide.
        let during = [second(100, 2), second(40, 8), second(80, 2), second(100, 2), second(100, 2)];
        let dips = Dips::of(&before, &during).expect("dips");
        assert_eq!((dips.rate_before, dips.rate_during), (100.0, 60.0));
        assert!((7.9..8.1).contains(&dips.p99_during) && (1.9..2.1).contains(&dips.p99_before), "{dips:?}");
    }
}
