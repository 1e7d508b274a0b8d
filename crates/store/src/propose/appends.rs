//! On the leader: batches that wait together, of this member and of others, are appended together.
//!
//! A round of appending costs each member a write and a sync of its log, a message each way, and a turn of applying, with one
//! batch as with many. While a small round is under way, the batches that come gather for the next; what is large enough to
//! be worth a round of its own does not wait.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use keelson_proto::keelson::store::v1::Batch;
use openraft::errors::{ClientWriteError, Fatal};
use tokio::sync::{mpsc, oneshot};

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
/// While so little waits and is under way, there are few writers: they gain more from not waiting than from company.
const FEW_BYTES: usize = 4 << 10;
/// A round that takes longer has lost its quorum, perhaps. What waits behind it is handed to Raft all the same, which refuses
/// it as soon as it knows: a refusal is worth more than an answer that nobody knows.
const ROUND_PATIENCE: Duration = Duration::from_millis(200);
/// Rounds under way when they take too long.
const LATE_ROUNDS_MAX: usize = 64;
/// Rounds under way that few writers may have: as many as members usually propose.
const FEW_ROUNDS_MAX: usize = 3;

struct Waiting {
    batch: Bytes,
    appended: oneshot::Sender<Result<(), Error>>,
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
    pub(crate) async fn run(mut self, raft: Raft) {
        let mut rounds: FuturesUnordered<BoxFuture<'static, usize>> = FuturesUnordered::new();
        let mut bytes_under_way = 0;
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            let mut late = false;
            tokio::select! {
                biased;
                Some(bytes) = rounds.next() => bytes_under_way -= bytes,
                received = self.queue.recv_many(&mut waiting, ROUND_BATCHES_MAX), if waiting.len() < ROUND_BATCHES_MAX => {
                    if received == 0 {
                        return;
                    }
                }
                // Begins anew with everything that happens: nothing has for so long.
                () = tokio::time::sleep(ROUND_PATIENCE), if !waiting.is_empty() => late = rounds.len() < LATE_ROUNDS_MAX,
            }
            // Nobody waits for these any more, and nothing of them is appended yet.
            waiting.retain(|waiting| !waiting.appended.is_closed());
            while may_start(bytes(&waiting), rounds.len(), bytes_under_way) || (late && !waiting.is_empty()) {
                late = false;
                let round = take_round(&mut waiting);
                let bytes = bytes(&round);
                bytes_under_way += bytes;
                rounds.push(append(raft.clone(), round).map(move |()| bytes).boxed());
            }
        }
    }
}

fn bytes(batches: &[Waiting]) -> usize {
    batches.iter().map(|waiting| waiting.batch.len().max(1)).sum()
}

/// Whether the bytes that wait should be appended now, beside the rounds under way, or rather gather.
fn may_start(waiting: usize, rounds: usize, under_way: usize) -> bool {
    let few = waiting + under_way <= FEW_BYTES && rounds < FEW_ROUNDS_MAX;
    waiting > 0 && rounds < ROUNDS_MAX && (rounds == 0 || few || waiting >= LARGE_ROUND_BYTES)
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
    let Ok(mut results) = raft.client_write_many(batches).await else { return };
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
mod tests {
    use openraft::errors::ForwardToLeader;

    use super::*;

    #[test]
    fn only_what_has_no_place_in_the_log_is_refused() {
        let refused = ClientWriteError::ForwardToLeader(ForwardToLeader::empty());
        assert!(matches!(answer::<()>(Some(Ok(Ok(())))), Ok(())));
        assert!(matches!(answer::<()>(Some(Ok(Err(refused)))), Err(Error::NotLeader)));
        assert!(matches!(answer::<()>(Some(Err(Fatal::Stopped))), Err(Error::Unknown)));
        assert!(matches!(answer::<()>(None), Err(Error::Unknown)));
    }

    fn waiting(bytes: &[usize]) -> Vec<Waiting> {
        let of_size = |size: &usize| Waiting { batch: vec![0; *size].into(), appended: oneshot::channel().0 };
        bytes.iter().map(of_size).collect()
    }

    #[test]
    fn little_gathers_behind_the_rounds_under_way_and_much_does_not() {
        assert!(!may_start(0, 0, 0));
        assert!(may_start(1, 0, 0));
        assert!(may_start(LARGE_ROUND_BYTES - 1, 0, 0));
        assert!(!may_start(LARGE_ROUND_BYTES - 1, 1, 1));
        assert!(may_start(LARGE_ROUND_BYTES, ROUNDS_MAX - 1, ROUND_BYTES_MAX));
        assert!(!may_start(LARGE_ROUND_BYTES, ROUNDS_MAX, ROUND_BYTES_MAX));
    }

    #[test]
    fn few_writers_do_not_wait_for_each_other() {
        assert!(may_start(1, FEW_ROUNDS_MAX - 1, FEW_BYTES - 1));
        assert!(!may_start(1, FEW_ROUNDS_MAX - 1, FEW_BYTES));
        assert!(!may_start(1, FEW_ROUNDS_MAX, FEW_BYTES - 1));
    }

    #[test]
    fn a_round_takes_from_the_front_what_fits_and_at_least_one() {
        let mut queue = waiting(&[ROUND_BYTES_MAX + 1, 1, ROUND_BYTES_MAX - 1, 1]);
        assert_eq!(take_round(&mut queue).len(), 1, "larger than a round, and alone");
        assert_eq!(take_round(&mut queue).len(), 2);
        assert_eq!(take_round(&mut queue).len(), 1);
        let mut queue = waiting(&[1; ROUND_BATCHES_MAX + 1]);
        assert_eq!(take_round(&mut queue).len(), ROUND_BATCHES_MAX);
        assert_eq!(queue.len(), 1);
    }
}
