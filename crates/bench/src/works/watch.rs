//! Watches: how fast events reach those that watch, how late, and that each of them reaches everybody once and in order.

pub(super) mod board;
mod watcher;
mod writer;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use tokio::task::JoinSet;

use board::Board;
use writer::Writing;

use super::VALUE_BYTES;
use crate::driver::Work;
use crate::figure::{Bound, Figure, P50, P99, RATE, Target, milliseconds};
use crate::load::{self, Load};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure};

/// How long the watchers may take to be made, and afterwards to receive what was written.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

/// Many watchers of few prefixes, and some writers.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// How many watchers.
    pub watchers: usize,
    /// They share so many prefixes, evenly; each put is seen by the watchers of one.
    pub prefixes: usize,
    /// Streams, each with the same number of watchers, one of each prefix if there are several.
    pub streams: usize,
    /// Connections, each with the same number of streams.
    pub connections: usize,
    /// Writers, each with one put in flight.
    pub writers: usize,
}

impl Watch {
    /// 200 programs that watch the same.
    pub const FAN_OUT: Self = Self { watchers: 200, prefixes: 1, streams: 200, connections: 20, writers: 4 };
    /// 100 programs that watch a hundred things each.
    pub const CROWD: Self = Self { watchers: 10_000, prefixes: 100, streams: 100, connections: 100, writers: 4 };
}

#[async_trait(?Send)]
impl Work for Watch {
    fn title(&self) -> String {
        let Self { watchers, prefixes, streams, connections, writers } = self;
        let prefixes = if *prefixes == 1 { "one prefix".to_owned() } else { format!("{prefixes} prefixes") };
        format!(
            "watch: {watchers} watchers on {prefixes} in {streams} streams over {connections} connections, \
             {writers} writers of {VALUE_BYTES} B"
        )
    }

    fn targets(&self) -> Vec<Target> {
        let late = |etcd_alone| Target { figure: P99, bound: Bound::RatioAtMost(1.0), etcd_alone, limit: "" };
        if self.prefixes == 1 {
            let rate =
                Target { figure: RATE, bound: Bound::RatioAtLeast(1.5), etcd_alone: "223,000 events/s", limit: "" };
            return vec![rate, late("11 ms")];
        }
        vec![Target { figure: "lost", bound: Bound::AtMost(0.0), etcd_alone: "", limit: "" }, late("")]
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let window = options.window();
        let board = Rc::new(Board::new(self.prefixes)?);
        let mut watching = self.watch(side, &board).await?;
        let writers = load::connect(side, self.writers).await?;
        let writers = (writers.into_iter().enumerate())
            .map(|(number, connection)| Writing::new(connection, Rc::clone(&board), number));
        let load = Load::start(writers)?;
        tokio::time::sleep(window.warm_up).await;
        board.cut()?;
        let before = board.received();
        let puts = load.measure(window).await?;
        let arrived = board.until(|board| board.received() - before >= window.steps_min);
        tokio::time::timeout(SETTLE_WITHIN, arrived).await.context("events do not arrive")?;
        let seen = board.cut()?;
        load.stop().await?;
        // A write that failed may have happened or not: then nobody knows how many events there must be.
        ensure!(puts.errors == 0, "{} puts failed: {}", puts.errors, puts.first_error.unwrap_or_default());
        let lost = self.settle(&board, &mut watching).await?;
        Ok(vec![
            Figure::higher(RATE, "/s", seen.from_commit.len() as f64 / puts.elapsed.as_secs_f64()),
            Figure::lower(P50, "ms", milliseconds(&seen.from_commit, 0.5)),
            Figure::lower(P99, "ms", milliseconds(&seen.from_commit, 0.99)),
            Figure::lower("p99 from put", "ms", milliseconds(&seen.from_put, 0.99)),
            Figure::higher("puts", "/s", puts.per_second()),
            Figure::lower("lost", "", lost as f64),
            Figure::lower("doubled or out of order", "", board.disorder() as f64),
        ])
    }
}

impl Watch {
    /// Opens all the streams, and returns when all the watchers are there.
    async fn watch(&self, side: &Side, board: &Rc<Board>) -> anyhow::Result<JoinSet<Result<(), Failure>>> {
        let endpoints = side.leader_first().await?;
        let mut connections = Vec::new();
        for index in 0..self.connections {
            connections.push(Connection::open(&endpoints[index % endpoints.len()]).await?);
        }
        let mut watching = JoinSet::new();
        let each = self.watchers / self.streams;
        for stream in 0..self.streams {
            let connection = &mut connections[stream % self.connections];
            let prefixes = (0..each).map(|watcher| (stream * each + watcher) % self.prefixes).collect();
            watching.spawn_local(watcher::watch(connection.clone(), Rc::clone(board), prefixes));
        }
        let created = board.until(|board| board.created() == self.watchers);
        tokio::select! {
            created = tokio::time::timeout(SETTLE_WITHIN, created) => created.context("the watchers are not made")?,
            ended = watching.join_next() => bail!("a watch ended: {ended:?}"),
        }
        Ok(watching)
    }

    /// Waits for the events that are still on their way, and says how many never came.
    async fn settle(&self, board: &Rc<Board>, watching: &mut JoinSet<Result<(), Failure>>) -> anyhow::Result<u64> {
        let expected = board.puts() * (self.watchers / self.prefixes) as u64;
        let arrived = board.until(|board| board.received() >= expected);
        tokio::select! {
            // What did not come in this time is lost.
            _ = tokio::time::timeout(SETTLE_WITHIN, arrived) => {}
            ended = watching.join_next() => bail!("a watch ended: {ended:?}"),
        }
        Ok(expected.saturating_sub(board.received()))
    }
}
