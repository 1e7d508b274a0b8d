//! From clients' commands to log entries: commands that wait together travel together.
//!
//! **Invariant**: a command whose outcome is not known is answered [`Error::Unknown`], and is proposed again only when it
//! surely was not proposed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use keelson_proto::keelson::raft::v1::ProposeRequest;
use keelson_proto::keelson::store::v1::{Batch, Command, Reply};
use keelson_types::Leadership;
use openraft::errors::{ClientWriteError, RaftError};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tonic::Code;

use crate::peers::Peers;
use crate::raft::Raft;
use crate::raft::types::Proposal;
use crate::{Error, machine};

/// Commands that may wait, as many as etcd lets wait to be applied.
const QUEUE_MAX: usize = 5000;
/// Bytes of commands that may wait or be under way.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// A batch is proposed when it has grown to this; a single command may be larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Commands in one batch: apply answers them all at once, so larger ones would delay the first.
const BATCH_COMMANDS_MAX: usize = 1024;
/// Batches under way. While so many are, commands gather for the next.
const IN_FLIGHT_MAX: usize = 8;
/// How long to wait before looking for a leader again.
const PAUSE: Duration = Duration::from_millis(10);
/// How much later than its deadline a command is given up, so that the queue, which knows more, can answer first.
const GRACE: Duration = Duration::from_millis(200);

type Answer = Result<Reply, Error>;

struct Queued {
    command: Command,
    bytes: usize,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
    _permit: OwnedSemaphorePermit,
}

/// Where commands are handed in.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

/// Takes commands from the queue and proposes them.
pub(crate) struct Proposals {
    queue: mpsc::Receiver<Queued>,
}

pub(crate) fn new() -> (Proposer, Proposals) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (Proposer { queue: sender, bytes: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)) }, Proposals { queue })
}

impl Proposer {
    /// Proposes `command` and waits until it is applied on the member that proposed it.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`], [`Error::NoLeader`] and [`Error::Stopped`] when it was not proposed;
    /// [`Error::Unknown`] when that is not known.
    pub(crate) async fn propose(&self, command: Command, deadline: Instant) -> Answer {
        let bytes = command.encoded_len();
        let weight = u32::try_from(bytes.clamp(1, QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(weight).map_err(|_| Error::TooManyRequests)?;
        let (answer, answered) = oneshot::channel();
        let queued = Queued { command, bytes, deadline, answer, _permit: permit };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })?;
        outcome(answered, deadline).await
    }

    /// As [`Self::propose`] for several commands at once: either all are handed in or none is.
    ///
    /// # Errors
    /// As there, when none was handed in. After that each command has its own answer.
    pub(crate) async fn propose_all(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Answer>, Error> {
        let slots = self.queue.try_reserve_many(commands.len()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => Error::TooManyRequests,
            mpsc::error::TrySendError::Closed(()) => Error::Stopped,
        })?;
        let sizes: Vec<usize> = commands.iter().map(prost::Message::encoded_len).collect();
        let total = u32::try_from(sizes.iter().map(|size| (*size).max(1)).sum::<usize>().min(QUEUE_BYTES_MAX))
            .unwrap_or(u32::MAX);
        let all = Arc::clone(&self.bytes).try_acquire_many_owned(total).map_err(|_| Error::TooManyRequests)?;
        let mut all = Some(all);
        let mut answers = Vec::with_capacity(commands.len());
        for ((slot, command), bytes) in slots.zip(commands).zip(sizes) {
            let weight = bytes.clamp(1, QUEUE_BYTES_MAX);
            let part = all.as_mut().and_then(|all| all.split(weight));
            let Some(permit) = part.or_else(|| all.take()) else { break };
            let (answer, answered) = oneshot::channel();
            slot.send(Queued { command, bytes, deadline, answer, _permit: permit });
            answers.push(outcome(answered, deadline));
        }
        Ok(futures::future::join_all(answers).await)
    }
}

async fn outcome(answered: oneshot::Receiver<Answer>, deadline: Instant) -> Answer {
    match tokio::time::timeout_at(deadline + GRACE, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(Error::Unknown),
    }
}

/// What became of a batch.
enum Outcome {
    Done(Vec<Reply>),
    /// Surely not proposed.
    NotProposed,
    Unknown,
}

type InFlight = FuturesUnordered<BoxFuture<'static, (Vec<Queued>, Outcome)>>;

impl Proposals {
    /// Runs until nobody can hand in commands any more.
    pub(crate) async fn run(mut self, raft: Raft, peers: Peers, leadership: watch::Receiver<Leadership>) {
        let mut in_flight = InFlight::new();
        let mut waiting: Vec<Queued> = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some((batch, outcome)) = in_flight.next() => finish(batch, outcome, &mut waiting),
                room = self.queue.recv_many(&mut waiting, BATCH_COMMANDS_MAX),
                    if waiting.is_empty() && in_flight.len() < IN_FLIGHT_MAX =>
                {
                    if room == 0 {
                        return;
                    }
                }
                () = std::future::ready(()), if !waiting.is_empty() && in_flight.len() < IN_FLIGHT_MAX => {}
            }
            if waiting.is_empty() || in_flight.len() >= IN_FLIGHT_MAX {
                continue;
            }
            expire(&mut waiting);
            let Some(leader) = leadership.borrow().leader_id else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let batch = take_batch(&mut waiting);
            if !batch.is_empty() {
                in_flight.push(propose(batch, leader, raft.clone(), peers.clone()));
            }
        }
    }
}

/// Takes from the front what fits into one batch.
fn take_batch(waiting: &mut Vec<Queued>) -> Vec<Queued> {
    let mut bytes = 0;
    let fits = waiting.iter().take(BATCH_COMMANDS_MAX).take_while(|queued| {
        let first = bytes == 0;
        bytes += queued.bytes.max(1);
        first || bytes <= BATCH_BYTES_MAX
    });
    let count = fits.count();
    waiting.drain(..count).collect()
}

/// Commands whose time is over before they were proposed did surely not take effect.
fn expire(waiting: &mut Vec<Queued>) {
    let now = Instant::now();
    for queued in waiting.extract_if(.., |queued| queued.deadline <= now || queued.answer.is_closed()) {
        drop(queued.answer.send(Err(Error::NoLeader)));
    }
}

fn finish(batch: Vec<Queued>, outcome: Outcome, waiting: &mut Vec<Queued>) {
    match outcome {
        Outcome::Done(replies) if replies.len() == batch.len() => {
            for (queued, reply) in batch.into_iter().zip(replies) {
                // Whoever asked may have gone.
                drop(queued.answer.send(Ok(reply)));
            }
        }
        Outcome::Done(_) | Outcome::Unknown => {
            for queued in batch {
                drop(queued.answer.send(Err(Error::Unknown)));
            }
        }
        // At the front again: they came first.
        Outcome::NotProposed => drop(waiting.splice(0..0, batch)),
    }
}

fn propose(
    mut batch: Vec<Queued>,
    leader: u64,
    raft: Raft,
    peers: Peers,
) -> BoxFuture<'static, (Vec<Queued>, Outcome)> {
    let commands: Vec<Command> = batch.iter_mut().map(|queued| queued.command.clone()).collect();
    async move {
        let outcome = if leader == peers.own_id() {
            propose_here(&raft, commands).await
        } else {
            let deadline = batch.iter().map(|queued| queued.deadline).max().unwrap_or_else(Instant::now);
            forward(&peers, leader, commands, deadline).await
        };
        if matches!(outcome, Outcome::NotProposed) {
            // The leader has changed; its successor is not known at once.
            tokio::time::sleep(PAUSE).await;
        }
        (batch, outcome)
    }
    .boxed()
}

async fn propose_here(raft: &Raft, commands: Vec<Command>) -> Outcome {
    let batch = Batch { proposed_at_unix_millis: machine::unix_millis(), commands };
    match raft.client_write(Proposal(batch.encode_to_vec().into())).await {
        Ok(response) => Outcome::Done(response.data),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Outcome::NotProposed,
        Err(_) => Outcome::Unknown,
    }
}

async fn forward(peers: &Peers, leader: u64, commands: Vec<Command>, deadline: Instant) -> Outcome {
    let Some(peer) = peers.get(leader) else { return Outcome::NotProposed };
    let call = async { peer.forwards().propose(ProposeRequest { commands }).await };
    match tokio::time::timeout_at(deadline, call).await {
        Ok(Ok(response)) => Outcome::Done(response.into_inner().replies),
        Ok(Err(status)) if status.code() == Code::FailedPrecondition => Outcome::NotProposed,
        Ok(Err(status)) if never_left(&status) => Outcome::NotProposed,
        Ok(Err(status)) => {
            tracing::debug!(%status, "the outcome of a forwarded proposal is unknown");
            Outcome::Unknown
        }
        Err(_) => Outcome::Unknown,
    }
}

/// Whether a call failed because there was no connection to send it on.
fn never_left(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
