//! Compaction of a long history while a load goes on: how far its rate dips, and what happens to its latencies.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_trait::async_trait;
use keelson_proto::etcdserverpb::{CompactionRequest, CompactionResponse, RangeRequest, RangeResponse};

use super::keys::{self, Walk};
use super::put::Putting;
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Target, milliseconds};
use crate::load::{self, Load, Tally};
use crate::options::Options;
use crate::report::statistics;
use crate::side::Side;
use crate::wire::{Connection, Endpoint, Method};

/// Puts in flight while the history is made.
const IN_FLIGHT: usize = 1_000;
/// The history is one of so many keys.
const HISTORY_KEYS: usize = 10_000;
/// Each measurement has so many parts, of which the worst is looked for.
const PARTS: u32 = 5;
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
        let part = window.measured / PARTS;
        let mut before = Phase::default();
        for _ in 0..PARTS {
            before.add(load.measure(part).await?)?;
        }
        let compacting = tokio::task::spawn_local(compact(side.leader_first().await?.remove(0)));
        let mut during = Phase::default();
        while during.parts.len() < PARTS as usize || !compacting.is_finished() {
            during.add(load.measure(part).await?)?;
        }
        load.stop().await?;
        let took = compacting.await.context("the compaction panicked")??;
        let (Some(before_all), Some(during_all)) = (before.all, during.all) else { bail!("nothing was measured") };
        let dip = |rate: f64| 100.0 * (1.0 - rate / before_all.per_second());
        let worst = |parts: &[f64]| statistics::spread(parts).map_or(0.0, |(least, _)| least);
        let p99 = |tally: &Tally| milliseconds(&tally.latencies, 0.99);
        Ok(vec![
            Figure::higher("rate before", "/s", before_all.per_second()),
            Figure::higher("rate during", "/s", during_all.per_second()),
            Figure::lower("dip", "%", dip(during_all.per_second())),
            Figure::lower("worst dip before", "%", dip(worst(&before.parts))),
            Figure::lower("worst dip during", "%", dip(worst(&during.parts))),
            Figure::lower("p99 before", "ms", p99(&before_all)),
            Figure::lower("p99 during", "ms", p99(&during_all)),
            Figure::lower("p99 by that before", "×", p99(&during_all) / p99(&before_all)),
            Figure::lower("compaction", "s", took.as_secs_f64()),
            Figure::lower("errors", "", (before_all.errors + during_all.errors) as f64),
        ])
    }
}

/// A measurement in parts.
#[derive(Default)]
struct Phase {
    all: Option<Tally>,
    parts: Vec<f64>,
}

impl Phase {
    fn add(&mut self, part: Tally) -> anyhow::Result<()> {
        self.parts.push(part.per_second());
        match &mut self.all {
            Some(all) => all.add(&part)?,
            None => self.all = Some(part),
        }
        Ok(())
    }
}

/// Compacts everything up to now, and waits until the space is free.
async fn compact(leader: Endpoint) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut connection = Connection::open(&leader).await?;
    let read = RangeRequest { key: "/bench".into(), ..RangeRequest::default() };
    let newest: RangeResponse = connection.ask(Method::Range, &read).await?;
    let revision = newest.header.context("an answer without a header")?.revision;
    let request = CompactionRequest { revision, physical: true };
    let compacting = connection.ask::<CompactionResponse>(Method::Compact, &request);
    tokio::time::timeout(COMPACT_WITHIN, compacting).await.context("the compaction does not end")??;
    Ok(started.elapsed())
}
