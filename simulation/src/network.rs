//! The network between members, call by call: delays, cuts in each direction, connections that break.
//!
//! It stands where gRPC's connections do, so that members encode, stream and decode what they would on a real one. As on
//! TCP, the messages of one stream keep their order, and a cut holds messages back: they arrive when it heals, or their
//! connection is given up. Calls overtake each other.

mod body;
mod mutated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use keelson_store::machine::{Channel, Machine};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{ConnectError, Status};
use tower::{Service as _, service_fn};

use crate::mutant::Mutant;
use crate::random::Random;
use crate::trace::Trace;

/// Who wants to connect over a cut gives up after so long.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A silent connection is given up after so long: the members' keep-alive and its timeout.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How often a silent connection is looked at.
const SILENCE_CHECK: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<http::Response<Body>, BoxError>;

/// How well messages travel.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest that a message usually takes; the shortest is nothing at all.
    pub delay_max_ms: u64,
    /// Messages of 10,000 that take up to ten times as long.
    pub slow: u32,
    /// Messages of 10,000 with which their connection breaks.
    pub broken: u32,
}

impl Weather {
    /// A rack.
    pub const CALM: Self = Self { delay_max_ms: 1, slow: 0, broken: 0 };
}

/// The network. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    links: Mutex<Links>,
    /// Told when a cut heals.
    healed: Notify,
    random: Random,
    trace: Trace,
    mutant: Option<Mutant>,
}

struct Links {
    hosts: BTreeMap<usize, Host>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(usize, usize)>,
    weather: Weather,
    calls: u64,
}

struct Host {
    machine: Machine,
    services: Option<Channel>,
    gone: CancellationToken,
}

/// What becomes of a message.
enum Fate {
    Arrives { after: Duration },
    Breaks { after: Duration },
}

impl Network {
    /// A network of nobody.
    pub fn new(random: Random, trace: Trace, mutant: Option<Mutant>) -> Self {
        let links = Links { hosts: BTreeMap::new(), cut: BTreeSet::new(), weather: Weather::CALM, calls: 0 };
        Self(Arc::new(Inner { links: Mutex::new(links), healed: Notify::new(), random, trace, mutant }))
    }

    /// A member starts on `machine`; it is `gone` when that is cancelled.
    pub fn attach(&self, member: usize, machine: Machine, gone: CancellationToken) {
        self.0.links.lock().hosts.insert(member, Host { machine, services: None, gone });
    }

    /// Peers can reach `services` from now on.
    pub fn serve(&self, member: usize, services: Channel) {
        if let Some(host) = self.0.links.lock().hosts.get_mut(&member) {
            host.services = Some(services);
        }
    }

    /// A member's machine has stopped: connections to it are refused, and those that were open break.
    pub fn detach(&self, member: usize) {
        let host = self.0.links.lock().hosts.remove(&member);
        if let Some(host) = host {
            host.gone.cancel();
        }
    }

    /// Changes how messages travel.
    pub fn weather(&self, weather: Weather) {
        self.0.links.lock().weather = weather;
    }

    /// Lets nothing pass in these directions, and everything in all others.
    pub fn cut(&self, directions: BTreeSet<(usize, usize)>) {
        self.0.links.lock().cut = directions;
        self.0.healed.notify_waiters();
    }

    /// The way from one member to another.
    pub fn connect(&self, from: usize, to: usize) -> Channel {
        let network = self.clone();
        Channel::new(service_fn(move |request| network.clone().call(from, to, request)))
    }

    async fn call(self, from: usize, to: usize, request: http::Request<Body>) -> Answer {
        let call = {
            let mut links = self.0.links.lock();
            links.calls += 1;
            links.calls
        };
        let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        self.0.trace.line(format_args!("call {call} {from}->{to} {path}"));
        if self.is_cut(from, to) && self.0.random.chance(5000) {
            tokio::time::sleep(CONNECT_TIMEOUT).await;
            return Err(refused("the connection was not answered"));
        }
        match self.fate() {
            Fate::Arrives { after } => tokio::time::sleep(after).await,
            Fate::Breaks { after } => {
                tokio::time::sleep(after).await;
                return Err(broken("the connection broke before the request arrived"));
            }
        }
        self.passable(from, to).await.map_err(Box::new)?;
        let Some((machine, services, gone)) = self.host(to) else {
            tokio::time::sleep(self.delay()).await;
            return Err(refused("nobody listens"));
        };
        let own_machine = self.0.links.lock().hosts.get(&from).map(|host| host.machine.clone());
        let Some(own_machine) = own_machine else { return Err(broken("the caller has gone")) };
        let (parts, body) = request.into_parts();
        let mut reset = Reset::default();
        let request_path: Arc<str> = path.into();
        let path = Arc::clone(&request_path);
        let body = body::carry(&self, (from, to), path, body, &own_machine, &mut reset);
        let request = http::Request::from_parts(parts, Body::new(body));
        let mut services = services;
        let mut handler = machine.spawn(async move { services.call(request).await });
        reset.0.push(handler.abort_handle());
        let mut silent_since = None;
        let response = loop {
            tokio::select! {
                biased;
                response = &mut handler => break response,
                () = gone.cancelled() => {
                    tokio::time::sleep(self.delay()).await;
                    return Err(broken("the peer stopped"));
                }
                () = tokio::time::sleep(SILENCE_CHECK) => {
                    let cut = self.is_cut(from, to) || self.is_cut(to, from);
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if !cut {
                        silent_since = None;
                    } else if since.elapsed() >= SILENCE_MAX {
                        return Err(broken("the connection is silent"));
                    }
                }
            }
        };
        let response = response.map_err(|_| broken("the peer gave the request up"))??;
        match self.fate() {
            Fate::Arrives { after } => tokio::time::sleep(after).await,
            Fate::Breaks { after } => {
                tokio::time::sleep(after).await;
                return Err(broken("the connection broke before the answer arrived"));
            }
        }
        self.passable(to, from).await.map_err(Box::new)?;
        let (parts, body) = response.into_parts();
        let body = body::carry(&self, (to, from), request_path, body, &machine, &mut reset);
        self.0.trace.line(format_args!("call {call} is answered"));
        Ok(http::Response::from_parts(parts, Body::new(body::Guarded { body, _reset: reset })))
    }

    fn host(&self, member: usize) -> Option<(Machine, Channel, CancellationToken)> {
        let links = self.0.links.lock();
        let host = links.hosts.get(&member)?;
        Some((host.machine.clone(), host.services.clone()?, host.gone.clone()))
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.0.links.lock().cut.contains(&(from, to))
    }

    /// Waits until messages pass, or the connection is given up.
    async fn passable(&self, from: usize, to: usize) -> Result<(), Status> {
        let deadline = Instant::now() + SILENCE_MAX;
        loop {
            let healed = self.0.healed.notified();
            if !self.is_cut(from, to) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, healed).await.is_err() {
                return Err(Status::unavailable("the connection is silent"));
            }
        }
    }

    fn delay(&self) -> Duration {
        let weather = self.0.links.lock().weather;
        let times = if self.0.random.chance(weather.slow) { 10 } else { 1 };
        self.0.random.millis(0..=weather.delay_max_ms * times)
    }

    fn fate(&self) -> Fate {
        let after = self.delay();
        let weather = self.0.links.lock().weather;
        if self.0.random.chance(weather.broken) {
            let after = after + self.0.random.millis(0..=1000);
            return Fate::Breaks { after };
        }
        Fate::Arrives { after }
    }
}

/// The request surely did not arrive.
fn refused(why: &'static str) -> BoxError {
    let mut status = Status::unavailable(why);
    status.set_source(Arc::new(ConnectError(why.into())));
    Box::new(status)
}

/// It may have arrived.
fn broken(why: &'static str) -> BoxError {
    Box::new(Status::unavailable(why))
}

/// What a call started. It ends with the caller's interest, as by a reset of its stream.
#[derive(Default)]
struct Reset(Vec<AbortHandle>);

impl Drop for Reset {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}
