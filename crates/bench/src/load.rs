//! A load in a closed loop: clients that each have one request in flight, over connections that they share.
//!
//! Everything runs on one thread: requests that are ready together are sent together, nothing is locked, and a client costs
//! the servers beside it no more than it must. `keelson-bench limit` shows how much that thread can do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::side::Side;
use crate::wire::{Connection, Endpoint, Failure, Rest};

/// Clients that share one connection: as many as a typical program keeps in flight on one.
const CLIENTS_PER_CONNECTION: usize = 10;
/// Connections of one load: as many processes as a middling control plane has.
const CONNECTIONS_MAX: usize = 30;
/// After an error a client waits, so that a server that refuses everything is not measured by how fast it refuses.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long a load may take to have done what a window asks for, beyond the time that it asks for.
const STEPS_WITHIN: Duration = Duration::from_secs(120);
/// How often that is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How long requests in flight may take to end when the load ends.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// Latencies from 1 µs to 100 s, with three digits.
const LATENCY_US_MAX: u64 = 100_000_000;

/// One client of a load.
pub trait Client {
    /// How long it waits between two units, unmeasured.
    const PAUSE: Duration = Duration::ZERO;

    /// Does one unit of the work that is measured.
    async fn step(&mut self) -> Result<(), Failure>;
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// What is not measured.
    pub warm_up: Duration,
    /// What is, at least.
    pub measured: Duration,
    /// How many steps must have succeeded meanwhile: it is measured for longer until they have. No figure needs more than the
    /// time; tests that look at what was counted do.
    pub steps_min: u64,
}

impl Window {
    /// So many of its parts in a row are the whole.
    pub fn part(self, parts: u32) -> Self {
        Self { measured: self.measured / parts, ..self }
    }
}

/// What came of a load over some time.
#[derive(Debug)]
pub struct Tally {
    /// Of each step that succeeded, in microseconds.
    pub latencies: Histogram<u64>,
    /// Steps that did not.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    since: Instant,
    /// How long it was counted.
    pub elapsed: Duration,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, unless the bounds of the histogram are wrong.
    pub fn new() -> anyhow::Result<Self> {
        let now = Instant::now();
        Ok(Self { latencies: histogram()?, errors: 0, first_error: None, since: now, elapsed: Duration::ZERO })
    }

    /// Steps a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Adds what came of a later time.
    pub fn add(&mut self, later: &Self) -> anyhow::Result<()> {
        self.latencies.add(&later.latencies)?;
        self.errors += later.errors;
        self.first_error = self.first_error.take().or_else(|| later.first_error.clone());
        self.elapsed += later.elapsed;
        Ok(())
    }
}

/// An empty histogram of latencies in microseconds.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?)
}

/// Adds a latency; one beyond the bound counts as the bound.
pub fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX));
}

/// Clients that are running.
pub struct Load {
    tally: Rc<RefCell<Tally>>,
    stop: Rc<Cell<bool>>,
    clients: JoinSet<Result<(), Failure>>,
}

impl Load {
    /// Starts the clients.
    pub fn start<C: Client + 'static>(clients: impl IntoIterator<Item = C>) -> anyhow::Result<Self> {
        let tally = Rc::new(RefCell::new(Tally::new()?));
        let stop = Rc::new(Cell::new(false));
        let mut running = JoinSet::new();
        for client in clients {
            running.spawn_local(run(client, Rc::clone(&tally), Rc::clone(&stop)));
        }
        Ok(Self { tally, stop, clients: running })
    }

    /// What came of it since the start or the last cut.
    pub fn cut(&self) -> anyhow::Result<Tally> {
        let mut tally = self.tally.replace(Tally::new()?);
        tally.elapsed = tally.since.elapsed();
        Ok(tally)
    }

    /// Lets it run for the time that a window asks for, and says what came of that time alone.
    ///
    /// # Errors
    /// When too few steps succeed.
    pub async fn measure(&self, window: Window) -> anyhow::Result<Tally> {
        self.cut()?;
        tokio::time::sleep(window.measured).await;
        self.reach(window.steps_min).await?;
        self.cut()
    }

    /// Waits until so many steps have succeeded since the last cut.
    ///
    /// # Errors
    /// When they do not.
    pub async fn reach(&self, steps: u64) -> anyhow::Result<()> {
        let enough = async {
            while self.tally.borrow().latencies.len() < steps {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        if tokio::time::timeout(STEPS_WITHIN, enough).await.is_ok() {
            return Ok(());
        }
        let tally = self.cut()?;
        let first = tally.first_error.unwrap_or_default();
        bail!("{} steps and {} errors in {:?}: {first}", tally.latencies.len(), tally.errors, tally.elapsed);
    }

    /// Lets requests in flight end, and no further ones begin.
    ///
    /// # Errors
    /// When a connection broke during the load, or requests do not end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.set(true);
        let ending = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.context("a client panicked")??;
            }
            Ok(())
        };
        match tokio::time::timeout(STOP_WITHIN, ending).await {
            Ok(ended) => ended,
            Err(_) => bail!("a request had no answer after {} s", STOP_WITHIN.as_secs()),
        }
    }
}

async fn run<C: Client>(mut client: C, tally: Rc<RefCell<Tally>>, stop: Rc<Cell<bool>>) -> Result<(), Failure> {
    let mut sent = Instant::now();
    while !stop.get() {
        let result = client.step().await;
        let now = Instant::now();
        let pause = match result {
            Ok(()) => {
                record(&mut tally.borrow_mut().latencies, now - sent);
                C::PAUSE
            }
            Err(failure @ Failure::Connection(_)) => return Err(failure),
            Err(failure) => {
                let mut tally = tally.borrow_mut();
                tally.errors += 1;
                tally.first_error.get_or_insert_with(|| failure.to_string());
                ERROR_PAUSE
            }
        };
        sent = now;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            sent = Instant::now();
        }
    }
    Ok(())
}

/// Runs clients for one window.
///
/// # Errors
/// When a connection breaks.
pub async fn run_clients<C: Client + 'static>(
    clients: impl IntoIterator<Item = C>,
    window: Window,
) -> anyhow::Result<Tally> {
    let load = Load::start(clients)?;
    tokio::time::sleep(window.warm_up).await;
    let tally = load.measure(window).await?;
    load.stop().await?;
    Ok(tally)
}

/// A share of a connection for each of `clients`, spread evenly over the connections, and those over the members. The first
/// is to the leader, so that a single client has the same way to go on both sides.
///
/// # Errors
/// When a member cannot be reached.
pub async fn connect(side: &Side, clients: usize) -> anyhow::Result<Vec<Connection>> {
    let endpoints = side.leader_first().await?;
    shared(&endpoints, clients, Connection::open).await
}

/// The same to the API of the members.
///
/// # Errors
/// When a member cannot be reached.
pub async fn connect_to_api(side: &Side, clients: usize) -> anyhow::Result<Vec<Rest>> {
    shared(side.api().await?.endpoints(), clients, Rest::open).await
}

async fn shared<C: Clone>(
    endpoints: &[Endpoint],
    clients: usize,
    open: impl AsyncFn(&Endpoint) -> anyhow::Result<C>,
) -> anyhow::Result<Vec<C>> {
    let mut connections = Vec::new();
    for index in 0..connection_count(clients, endpoints.len()) {
        connections.push(open(&endpoints[index % endpoints.len()]).await?);
    }
    Ok((0..clients).map(|client| connections[client % connections.len()].clone()).collect())
}

/// The same number for each member, as far as there are clients.
fn connection_count(clients: usize, members: usize) -> usize {
    let wanted = clients.div_ceil(CLIENTS_PER_CONNECTION).next_multiple_of(members);
    wanted.min(CONNECTIONS_MAX / members * members).min(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_bounded() {
        let counts = [1, 2, 4, 10, 100, 300, 1_000].map(|clients| connection_count(clients, 3));
        assert_eq!(counts, [1, 2, 3, 3, 12, 30, 30]);
        assert_eq!(connection_count(1_000, 1), 30);
        assert_eq!(connection_count(5, 1), 1);
    }

    /// A client that takes its time.
    struct Slow;

    impl Client for Slow {
        async fn step(&mut self) -> Result<(), Failure> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_lasts_until_enough_was_done() {
        let run = async |measured: u64, steps_min: u64| {
            let window = Window { warm_up: Duration::ZERO, measured: Duration::from_secs(measured), steps_min };
            run_clients([Slow], window).await
        };
        let local = tokio::task::LocalSet::new();
        let counts = local.run_until(async {
            let mut counts = Vec::new();
            for (measured, steps_min) in [(5, 0), (0, 3)] {
                counts.push(run(measured, steps_min).await.expect("it runs").latencies.len());
            }
            assert!(run(0, 1_000).await.is_err(), "not for ever");
            counts
        });
        let counts = counts.await;
        assert!((4..=5).contains(&counts[0]) && counts[1] >= 3, "{counts:?}");
    }

    #[test]
    fn tallies_of_two_times_add_up() {
        let mut tally = Tally::new().expect("a tally");
        let mut later = Tally::new().expect("a tally");
        record(&mut tally.latencies, Duration::from_millis(1));
        record(&mut later.latencies, Duration::from_secs(1_000));
        (tally.elapsed, later.elapsed, later.errors) = (Duration::from_secs(1), Duration::from_secs(3), 2);
        tally.add(&later).expect("it adds");
        assert_eq!((tally.per_second(), tally.errors), (0.5, 2));
        assert!(tally.latencies.max() >= LATENCY_US_MAX);
    }
}
