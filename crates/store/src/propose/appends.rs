//! On the leader: batches that wait together, of this member and of others, are appended together.
//!
//! A round of appending costs each member a write and a sync of its log, a message each way, and a turn of applying, with one
//! batch as with many; and each event costs its watchers a message, alone or together with others. While a round is under way,
//! the batches that come gather for the next, and those whom it has answered may write again before that begins. Otherwise two
//! halves of the writers would take turns, each waiting for the other's round. What is large enough to be worth a round of its
//! own does not wait.

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
/// About as long as this; what runs in such a turn may take longer.
const TURNS_GIVEN_WITHIN: Duration = Duration::from_millis(1);
/// Rounds that take less are not waited for any further: a timer is not finer than half of this.
const SLOW_ROUND: Duration = Duration::from_millis(2);
/// After a slow round, those whom it has answered are waited for half as long as it took, but no longer than this.
const GATHER_WITHIN: Duration = Duration::from_millis(5);
/// When they do not come, so many rounds at most begin without such a wait before it is tried again.
const GATHERS_SKIPPED_MAX: u32 = 64;
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
        let mut newest = Newest { begun: Instant::now(), batches: 0 };
        let mut gathering = Gathering::default();
        loop {
            let mut late = false;
            tokio::select! {
                biased;
                Some(()) = rounds.next() => {
                    if rounds.is_empty() && bytes(&waiting) < LARGE_ROUND_BYTES {
                        let took = newest.begun.elapsed();
                        // The writers that there are: those who waited behind the round, and those whom it has answered.
                        let writers = waiting.len() + newest.batches;
                        give_turns().await;
                        self.look(&mut waiting);
                        if !waiting.is_empty() && waiting.len() < writers && took >= SLOW_ROUND && gathering.is_due() {
                            let gather = self.gather(&mut waiting, writers);
                            gathering.learn(tokio::time::timeout((took / 2).min(GATHER_WITHIN), gather).await.is_ok());
                        }
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
                newest = Newest { begun: Instant::now(), batches: round.len() };
                patience_ends = Instant::now() + ROUND_PATIENCE;
                rounds.push(append(round).boxed());
            }
        }
    }

    /// Takes in what arrives, until so many wait or they are worth a round of their own.
    async fn gather(&mut self, waiting: &mut Vec<Waiting>, count: usize) {
        while waiting.len() < count.min(ROUND_BATCHES_MAX)
            && bytes(waiting) < LARGE_ROUND_BYTES
            && let Some(arrived) = self.queue.recv().await
        {
            waiting.push(arrived);
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

/// The round that has begun last.
struct Newest {
    begun: Instant,
    batches: usize,
}

/// Whether it pays to wait for those who were answered: as often as they do not come, it is tried less often.
#[derive(Default)]
struct Gathering {
    in_vain: u32,
    skip: u32,
}

impl Gathering {
    fn is_due(&mut self) -> bool {
        let due = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        due
    }

    fn learn(&mut self, all_came: bool) {
        self.in_vain = if all_came { 0 } else { self.in_vain.saturating_add(1) };
        self.skip = 1_u32.checked_shl(self.in_vain).unwrap_or(u32::MAX).min(GATHERS_SKIPPED_MAX) - 1;
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
