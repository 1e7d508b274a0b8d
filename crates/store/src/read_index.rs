//! Linearizable reads: up to where must a member have applied before it may answer?
//!
//! All reads that wait when a round starts share it. A round asks the leader, which asks a quorum whether it still leads.
//! (Ongaro, *Consensus: Bridging Theory and Practice*, §6.4.)
//!
//! **Invariant**: a read is answered only by a round that started after the read arrived.

use std::time::Duration;

use keelson_proto::keelson::raft::v1::ReadIndexRequest;
use keelson_types::Leadership;
use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::Error;
use crate::peers::Peers;
use crate::raft::{Raft, codec};

/// Reads that may wait for a round; far more than the API lets in.
const QUEUE_MAX: usize = 65_536;
/// A round that takes longer has lost its leader.
const ROUND_TIMEOUT: Duration = Duration::from_millis(1000);
/// Between rounds that failed.
const PAUSE: Duration = Duration::from_millis(20);

struct Waiting {
    deadline: Instant,
    answer: oneshot::Sender<Result<u64, Error>>,
}

/// Where reads ask.
#[derive(Clone)]
pub(crate) struct ReadIndex {
    queue: mpsc::Sender<Waiting>,
}

/// Runs the rounds.
pub(crate) struct Rounds {
    queue: mpsc::Receiver<Waiting>,
}

pub(crate) fn new() -> (ReadIndex, Rounds) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (ReadIndex { queue: sender }, Rounds { queue })
}

impl ReadIndex {
    /// The position up to which everything acknowledged before this call is.
    ///
    /// # Errors
    /// [`Error::NoLeader`] when none confirmed itself before the deadline, [`Error::TooManyRequests`],
    /// [`Error::Stopped`].
    pub(crate) async fn position(&self, deadline: Instant) -> Result<u64, Error> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { deadline, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })?;
        answered.await.unwrap_or(Err(Error::Stopped))
    }
}

impl Rounds {
    /// Runs until nobody can ask any more.
    pub(crate) async fn run(mut self, raft: Raft, peers: Peers, leadership: watch::Receiver<Leadership>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() && self.queue.recv_many(&mut waiting, QUEUE_MAX).await == 0 {
                return;
            }
            while let Ok(another) = self.queue.try_recv() {
                waiting.push(another);
            }
            match tokio::time::timeout(ROUND_TIMEOUT, round(&raft, &peers, &leadership)).await {
                Ok(Ok(position)) => {
                    for one in waiting.drain(..) {
                        // Whoever asked may have gone.
                        drop(one.answer.send(Ok(position)));
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = %error, "no read index yet");
                    expire(&mut waiting);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => expire(&mut waiting),
            }
        }
    }
}

/// Answers those whose time is over.
fn expire(waiting: &mut Vec<Waiting>) {
    let now = Instant::now();
    for one in waiting.extract_if(.., |one| one.deadline <= now || one.answer.is_closed()) {
        drop(one.answer.send(Err(Error::NoLeader)));
    }
}

/// Why a round failed; the next one may succeed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no leader is known")]
    NoLeader,
    #[error("the leader is not confirmed: {0}")]
    NotConfirmed(String),
}

async fn round(raft: &Raft, peers: &Peers, leadership: &watch::Receiver<Leadership>) -> Result<u64, Failed> {
    let leader = leadership.borrow().leader_id.ok_or(Failed::NoLeader)?;
    if leader == peers.own_id() {
        let confirmed = raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        let confirmed = confirmed.map_err(|error| Failed::NotConfirmed(error.to_string()))?;
        return Ok(codec::position(Some(confirmed.read_log_id().index())));
    }
    let mut client = peers.get(leader).ok_or(Failed::NoLeader)?.forwards();
    let response = client.read_index(ReadIndexRequest {}).await;
    Ok(response.map_err(|status| Failed::NotConfirmed(status.to_string()))?.into_inner().index)
}
