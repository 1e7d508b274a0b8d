//! Many watchers of a busy kind: how late events are, that none is lost, and what that costs the members.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::watch::board::Board;
use super::{fill, namespace, objects, path, unpublished};
use crate::driver::Work;
use crate::figure::{Bound, Figure, P50, P99, Published, RATE, Target, milliseconds};
use crate::load::{self, Client, Load};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Failure, Rest, Verb};

const NAMESPACE: &str = "bench-watch";
/// Objects that the writers go round.
const OBJECTS: usize = 100;
/// What each of them carries beside the number of the write.
const DATA_BYTES: usize = 256;
const IN_FLIGHT: usize = 10;
/// How long the watchers may take to be made, and afterwards to receive what was written.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);
/// Runs at most: each is told of two rates of writes.
const RUNS_MAX: usize = 2;
/// So much is shown of an event that must not be.
const SHOWN_CHARACTERS: usize = 200;
const LOST: &str = "lost";

/// Many watchers of one kind, and writers at a steady rate or as fast as they go.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// How many watchers, each a request of its own.
    pub watchers: usize,
    /// They share so many connections, evenly, and those the members.
    pub connections: usize,
    /// Writers, each with one write in flight.
    pub writers: usize,
    /// Writes a second of all writers together; `None` for as many as they can do.
    pub writes_per_second: Option<NonZeroU32>,
}

#[async_trait(?Send)]
impl Work for Watch {
    fn title(&self) -> String {
        let Self { watchers, connections, writers, writes_per_second } = self;
        let pace = match writes_per_second {
            Some(rate) => format!("{rate} writes/s"),
            None => format!("{writers} writers without a pause"),
        };
        format!("API: {watchers} watchers of one kind over {connections} connections, {pace}")
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: LOST, bound: Bound::AtMost(0.0), etcd_alone: "", limit: "" }]
    }

    fn published(&self) -> Vec<Published> {
        let source = "https://github.com/kubernetes/community/blob/master/sig-scalability/slos/watch_latency.md";
        let late = "no objective yet; no figure found";
        vec![Published { figure: P99, text: late, source }, unpublished(RATE)]
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
        fill(side, &collection(), OBJECTS, IN_FLIGHT, object).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        // Numbers begin anew in each run, and a patch that changes nothing is no event.
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let window = options.window();
        let members = side.api().await?;
        let board = Rc::new(Board::new(1)?);
        let mut watching = self.watch(side, &board).await?;
        let pace = self.writes_per_second.map(|rate| Duration::from_secs(1) * self.writers as u32 / rate.get());
        let writers = load::connect_to_api(side, self.writers).await?;
        let load = Load::start(writers.into_iter().map(|rest| Writing::new(rest, Rc::clone(&board), run, pace)))?;
        tokio::time::sleep(window.warm_up).await;
        board.cut()?;
        let before = board.received();
        let processor = members.processor_time()?;
        let puts = load.measure(window).await?;
        let arrived = board.until(|board| board.received() - before >= window.steps_min);
        tokio::time::timeout(SETTLE_WITHIN, arrived).await.context("events do not arrive")?;
        let processor = (members.processor_time()? - processor).as_secs_f64();
        let seen = board.cut()?;
        load.stop().await?;
        // A write that failed may have happened or not: then nobody knows how many events there must be.
        ensure!(puts.errors == 0, "{} writes failed: {}", puts.errors, puts.first_error.unwrap_or_default());
        let lost = self.settle(&board, &mut watching).await?;
        let elapsed = puts.elapsed.as_secs_f64();
        let events = seen.from_commit.len() as f64;
        Ok(vec![
            Figure::higher(RATE, "events/s", events / elapsed),
            Figure::lower(P50, "ms", milliseconds(&seen.from_commit, 0.5)),
            Figure::lower(P99, "ms", milliseconds(&seen.from_commit, 0.99)),
            Figure::lower("p99 from write", "ms", milliseconds(&seen.from_put, 0.99)),
            Figure::higher("writes", "/s", puts.per_second()),
            Figure::lower("CPU of all members", "cores", processor / elapsed),
            Figure::lower("CPU of an event", "µs", 1e6 * processor / events),
            Figure::lower(LOST, "", lost as f64),
            Figure::lower("doubled or out of order", "", board.disorder() as f64),
        ])
    }
}

impl Watch {
    /// Opens all the watches, and returns when all of them are there.
    async fn watch(&self, side: &Side, board: &Rc<Board>) -> anyhow::Result<JoinSet<Result<(), Failure>>> {
        let members = side.api().await?;
        let endpoints = members.endpoints();
        let mut connections = Vec::new();
        for index in 0..self.connections {
            connections.push(Rest::open(&endpoints[index % endpoints.len()]).await?);
        }
        // Each begins at the same revision, as behind a list.
        let list = connections[0].call(Verb::Get, path(&format!("{}?limit=1", collection()))?, Bytes::new()).await?;
        let list: serde_json::Value = serde_json::from_slice(&list)?;
        let revision = list["metadata"]["resourceVersion"].as_str().context("a list without a resourceVersion")?;
        let query = format!("{}?watch=true&allowWatchBookmarks=true&resourceVersion={revision}", collection());
        let mut watching = JoinSet::new();
        for watcher in 0..self.watchers {
            let rest = connections[watcher % self.connections].clone();
            watching.spawn_local(watch(rest, query.clone(), Rc::clone(board)));
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
        let expected = board.puts() * self.watchers as u64;
        let arrived = board.until(|board| board.received() >= expected);
        tokio::select! {
            // What did not come in this time is lost.
            _ = tokio::time::timeout(SETTLE_WITHIN, arrived) => {}
            ended = watching.join_next() => bail!("a watch ended: {ended:?}"),
        }
        Ok(expected.saturating_sub(board.received()))
    }
}

fn collection() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

fn name(number: usize) -> String {
    format!("map-{:03}", number % OBJECTS)
}

/// Watches until the task is ended.
async fn watch(mut rest: Rest, query: String, board: Rc<Board>) -> Result<(), Failure> {
    let mut lines = rest.watch(path(&query)?).await?;
    board.create();
    board.announce();
    let mut newest = 0;
    loop {
        let events = lines.next().await?;
        if events.is_empty() {
            return Err(Failure::Answer("the watch ended"));
        }
        let now = Instant::now();
        for line in events {
            match Event::parse(&line)? {
                Event::Bookmark => {}
                Event::Written { revision, .. } if revision <= newest => board.count_disorder(),
                Event::Written { revision, number } => {
                    newest = revision;
                    if !board.receive(number, now) {
                        return Err(Failure::Answer("an event of another time"));
                    }
                }
            }
        }
        board.announce();
    }
}

/// One line of a watch, as far as it is looked at: the client's own work must not be what is measured.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Bookmark,
    Written { revision: u64, number: usize },
}

impl Event {
    fn parse(line: &[u8]) -> Result<Self, Failure> {
        let line = std::str::from_utf8(line).map_err(|_| Failure::Answer("an event that is no text"))?;
        // All but a few are as the first look expects them.
        if !line.starts_with(r#"{"type":"MODIFIED""#) {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if event["type"] == "BOOKMARK" {
                return Ok(Self::Bookmark);
            }
            let start: String = line.chars().take(SHOWN_CHARACTERS).collect();
            return Err(Failure::Connection(format!("an event that must not be: {start}")));
        }
        let value = |mark: &str| line.split_once(mark)?.1.split('"').next()?.parse().ok();
        let revision = value(r#""resourceVersion":""#).ok_or(Failure::Answer("an event without its revision"))?;
        let number = value(r#""number":""#).ok_or(Failure::Answer("an event without its number"))?;
        Ok(Self::Written { revision, number: number as usize })
    }
}

/// A writer: patches the objects in turn, each write with its number.
struct Writing {
    rest: Rest,
    board: Rc<Board>,
    run: usize,
    pace: Option<Interval>,
}

impl Writing {
    fn new(rest: Rest, board: Rc<Board>, run: usize, pace: Option<Duration>) -> Self {
        let pace = pace.map(|period| {
            let mut pace = interval(period);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        Self { rest, board, run, pace }
    }
}

impl Client for Writing {
    async fn step(&mut self) -> Result<(), Failure> {
        if let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
        let number = self.board.send();
        let patch = format!(r#"{{"data":{{"number":"{number}","run":"{}"}}}}"#, self.run);
        self.rest.call(Verb::MergePatch, path(&format!("{}/{}", collection(), name(number)))?, patch.into()).await?;
        self.board.commit(number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_by_its_revision_and_number() {
        let line = br#"{"type":"MODIFIED","object":{"data":{"number":"42","value":"x"},"metadata":{"resourceVersion":"977","managedFields":[{"f:number":{}}]}}}"#;
        assert_eq!(Event::parse(line).expect("is one"), Event::Written { revision: 977, number: 42 });
        assert_eq!(Event::parse(br#"{"object":{},"type":"BOOKMARK"}"#).expect("is one"), Event::Bookmark);
        for wrong in [&br#"{"type":"ERROR","object":{"code":410}}"#[..], br#"{"type":"MODIFIED","object":{}}"#, b"\xff"]
        {
            Event::parse(wrong).expect_err("is none");
        }
    }
}
