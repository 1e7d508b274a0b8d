//! What clients do, all at once, until they are told to stop.

pub mod auditors;
pub mod leases;
pub mod operator;
pub mod registers;
pub mod watchers;
pub mod writers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_checkers::history::Outcome;
use keelson_store::Error;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::invariants::Invariants;
use crate::mutant::Mutant;
use crate::random::Random;
use crate::trace::Trace;

/// What every value of a register contains.
pub const MARK: &str = "marked";

/// What a client has at hand. Clones are for further clients.
#[derive(Clone)]
pub struct Client {
    pub cluster: Arc<Cluster>,
    pub invariants: Arc<Invariants>,
    pub random: Random,
    pub trace: Trace,
    pub mutant: Option<Mutant>,
    /// Cancelled when clients must come to an end.
    pub stop: CancellationToken,
    /// The longest pause between two operations.
    pub pause_max: Duration,
}

impl Client {
    /// Waits for the next operation. False when there is none any more.
    async fn pause(&self) -> bool {
        let millis = u64::try_from(self.pause_max.as_millis()).unwrap_or(u64::MAX);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(self.random.millis(0..=millis)) => true,
        }
    }

    /// A member to ask, whether or not it answers.
    fn member(&self) -> Option<usize> {
        self.cluster.any_up()
    }

    /// A stream of random numbers of its own for one client.
    fn of(&self, seed: u64, name: &str) -> Self {
        Self { random: Random::new(seed, name), ..self.clone() }
    }
}

/// Starts all clients. They have ended when the futures have.
pub fn start(client: &Client, seed: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let mut running = Vec::new();
    let mut spawn = |future: futures::future::BoxFuture<'static, ()>| running.push(tokio::spawn(future));
    for process in 0..4 {
        spawn(Box::pin(registers::run(client.of(seed, &format!("register {process}")), process)));
    }
    for writer in 0..2 {
        spawn(Box::pin(writers::run(client.of(seed, &format!("writer {writer}")), writer)));
    }
    for keeper in 0..2 {
        spawn(Box::pin(leases::run(client.of(seed, &format!("lease {keeper}")), keeper)));
    }
    spawn(Box::pin(auditors::acknowledged(client.of(seed, "auditor"))));
    spawn(Box::pin(auditors::hash_kv(client.of(seed, "hash"))));
    spawn(Box::pin(auditors::compact(client.of(seed, "compaction"))));
    running
}

/// Starts the one who changes who the members are.
pub fn operate(client: &Client, seed: u64, plan: operator::Plan) -> tokio::task::JoinHandle<()> {
    tokio::spawn(operator::run(client.of(seed, "operator"), plan))
}

/// How an operation that failed may have ended.
fn failed<T>(error: &Error) -> Outcome<T> {
    let reason = error.to_string();
    match error {
        Error::NoLeader | Error::TooManyRequests | Error::LeaseNotFound | Error::LeaseExists => {
            Outcome::Refused { reason }
        }
        _ => Outcome::Unknown { reason },
    }
}

/// The member crashed, or did not answer for very long.
fn lost<T>() -> Outcome<T> {
    Outcome::Unknown { reason: "the member went away".to_owned() }
}

/// The end of the range of all keys with a prefix.
pub fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

/// Gives a future to somebody else's task, and its output back.
async fn ask<T, F>(client: &Client, member: usize, work: impl FnOnce(keelson_store::Handle) -> F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    client.cluster.call(member, work).await
}
