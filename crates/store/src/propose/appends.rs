//! On the leader: batches that wait together, of this member and of others, are appended together.
//!
//! A round of appending costs each member a write and a sync of its log, a message each way, and a turn of applying, with one
//! batch as with many; and each event costs its watchers a message, alone or together with others. While a round is under way,
//! the batches that come gather for the next, and those whom it has answered may write again before that begins. What is large
//! enough to be worth a round of its own does not wait.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream, StreamExt as _};
use keelson_proto::keelson::store::v1::Batch;
use openraft::errors::{ClientWriteError, Fatal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::prepend;
use crate::raft::Raft;
use crate::raft::types::{Proposal, TypeConfig};
use crate::{Error, machine};

/// Batches that may wait to be looked at; a member has few under way. With [`ROUND_BATCHES_MAX`] of about
/// [`ROUND_BYTES_MAX`] each, what waits is bounded in bytes, too.
const QUEUE_MAX: usize = 32;
/// Batches in one round, so that the first of them does not wait for the applying of too many.
const ROUND_BATCHES_MAX: usize = 64;
/// Bytes in one round; a single batch may be larger.
const ROUND_BYTES_MAX: usize = 1 << 20;
/// Rounds under way. While so many are, batches gather.
const ROUNDS_MAX: usize = 8;
/// So many bytes are worth a round of their own.
const LARGE_ROUND_BYTES: usize = 60_000;
/// How often everything else that can run does so between the end of a round and the next one. It takes no time when there is
/// nothing, and longer the more was woken: writers who were answered, and watchers.
const TURNS_GIVEN: usize = 20;
/// No longer than this.
const TURNS_GIVEN_WITHIN: Duration = Duration::from_millis(1);
/// When no round has begun or ended for so long, the quorum is lost, perhaps. What waits is handed to Raft all the same, which refuses
/// it as soon as it knows: a refusal is worth more than an answer that nobody knows.
const ROUND_PATIENCE: Duration = Duration::from_millis(200);
/// Rounds under way when they take too long.
const LATE_ROUNDS_MAX: usize = 64;

/// Who waits to hear that a batch is applied.
type Caller = oneshot::Sender<Result<(), Error>>;

struct Waiting {
    batch: Bytes,
    appended: Caller,
}

/// Where batches are handed in.
#[derive(Clone)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Waiting>,
}

/// Takes batches from the queue and appends them.
pub(crate) struct Appends {
    queue: mpsc::Receiver<Waiting>,
}

pub(crate) fn new() -> (Appender, Appends) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (Appender { queue: sender }, Appends { queue })
}

impl Appender {
    /// Appends an encoded batch and waits until it is applied here.
    ///
    /// # Errors
    /// [`Error::NotLeader`] when it was surely not appended, [`Error::Unknown`] when that is not known.
    pub(crate) async fn append(&self, batch: Bytes) -> Result<(), Error> {
        let (appended, answer) = oneshot::channel();
        if self.queue.send(Waiting { batch, appended }).await.is_err() {
            return Err(Error::NotLeader);
        }
        answer.await.unwrap_or(Err(Error::Unknown))
    }
}

impl Appends {
    /// Runs until nobody can hand in batches any more.
    pub(crate) async fn run(self, raft: Raft) {
        self.run_with(move |round| append(raft.clone(), round)).await;
    }

    async fn run_with<Round>(mut self, append: impl Fn(Vec<Waiting>) -> Round)
    where
        Round: Future<Output = ()> + Send + 'static,
    {
        let mut rounds: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        // What arrives does not move this: a trickle of batches must not keep all of them waiting.
        let mut patience_ends = Instant::now();
        loop {
            let mut late = false;
            tokio::select! {
                biased;
                Some(()) = rounds.next() => {
                    if rounds.is_empty() && bytes(&waiting) < LARGE_ROUND_BYTES {
                        give_turns().await;
                        self.look(&mut waiting);
                    }
                    patience_ends = Instant::now() + ROUND_PATIENCE;
                }
                // Before what arrives, of which there may always be more.
                () = tokio::time::sleep_until(patience_ends), if !waiting.is_empty() => {
                    late = rounds.len() < LATE_ROUNDS_MAX;
                    patience_ends = Instant::now() + ROUND_PATIENCE;
                }
                received = self.queue.recv_many(&mut waiting, ROUND_BATCHES_MAX), if waiting.len() < ROUND_BATCHES_MAX => {
                    if received == 0 {
                        return;
                    }
                }
            }
            // Nobody waits for these any more, and nothing of them is appended yet.
            waiting.retain(|waiting| !waiting.appended.is_closed());
            while may_start(bytes(&waiting), rounds.len()) || (late && !waiting.is_empty()) {
                late = false;
                let round = take_round(&mut waiting);
                patience_ends = Instant::now() + ROUND_PATIENCE;
                rounds.push(append(round).boxed());
            }
        }
    }

    /// Takes in what has arrived.
    fn look(&mut self, waiting: &mut Vec<Waiting>) {
        while waiting.len() < ROUND_BATCHES_MAX
            && let Ok(arrived) = self.queue.try_recv()
        {
            waiting.push(arrived);
        }
    }
}

/// Lets others run.
async fn give_turns() {
    let begun = Instant::now();
    for _ in 0..TURNS_GIVEN {
        tokio::task::yield_now().await;
        if begun.elapsed() >= TURNS_GIVEN_WITHIN {
            return;
        }
    }
}

fn bytes(batches: &[Waiting]) -> usize {
    batches.iter().map(|waiting| waiting.batch.len().max(1)).sum()
}

/// Whether the bytes that wait should be appended now, beside the rounds under way, or rather gather.
fn may_start(waiting: usize, rounds: usize) -> bool {
    waiting > 0 && rounds < ROUNDS_MAX && (rounds == 0 || waiting >= LARGE_ROUND_BYTES)
}

/// Takes from the front what fits into one round.
fn take_round(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let fits = waiting.iter().take(ROUND_BATCHES_MAX).take_while(|waiting| {
        let first = bytes == 0;
        bytes += waiting.batch.len().max(1);
        first || bytes <= ROUND_BYTES_MAX
    });
    let count = fits.count();
    waiting.drain(..count).collect()
}

async fn append(raft: Raft, round: Vec<Waiting>) {
    let stamp = Batch { proposed_at_unix_millis: machine::unix_millis(), ..Batch::default() };
    let (batches, callers): (Vec<_>, Vec<_>) =
        round.into_iter().map(|waiting| (Proposal(prepend(&stamp, &waiting.batch)), waiting.appended)).unzip();
    // A caller whose answer is dropped takes it for unknown.
    let Ok(results) = raft.client_write_many(batches).await else { return };
    answer_in_turn(results, callers).await;
}

/// Gives each caller its own result: they come in the order of the batches.
async fn answer_in_turn<T>(results: impl Stream<Item = Appended<T>> + Unpin, callers: Vec<Caller>) {
    // Once Raft has stopped it ends before every caller is answered, and may not be asked again.
    let mut results = results.fuse();
    for caller in callers {
        // It may have gone meanwhile.
        drop(caller.send(answer(results.next().await)));
    }
}

/// What Raft says of one batch.
type Appended<T> = Result<Result<T, ClientWriteError<TypeConfig>>, Fatal<TypeConfig>>;

/// What a batch's result means; none is given any more once Raft has stopped.
fn answer<T>(result: Option<Appended<T>>) -> Result<(), Error> {
    match result {
        Some(Ok(Ok(_))) => Ok(()),
        // It is refused before it has a place in the log.
        Some(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => Err(Error::NotLeader),
        Some(Ok(Err(_)) | Err(_)) | None => Err(Error::Unknown),
    }
}

#[cfg(test)]
mod tests;
