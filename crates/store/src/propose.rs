//! From clients' commands to log entries: commands that wait together travel together.
//!
//! A batch names the term that it is meant for, and apply passes over it in an entry of any other term. So once this member
//! has applied an entry of a later term, a batch that it proposed before and has not seen never took effect.
//!
//! **Invariant**: a command is proposed again only when it surely has not taken effect and never will by the first
//! proposal; one whose outcome is not known at its deadline is answered [`Error::Unknown`].

pub(crate) mod answers;
pub(crate) mod appends;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use keelson_proto::keelson::raft::v1::ProposeRequest;
use keelson_proto::keelson::store::v1::{Batch, Command, Reply};
use keelson_types::Leadership;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tonic::Code;

use crate::Error;
use crate::peers::Peers;
use answers::{Answers, Over};
use appends::Appender;

/// Commands that may wait, if nothing else is configured: as many as etcd lets wait to be applied.
pub(crate) const QUEUE_MAX: usize = 5000;
/// Bytes of commands that may wait or be under way, likewise.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 << 20;
/// A batch is proposed when it has grown to this; a single command may be larger.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Commands in one batch: apply answers them all at once, so larger ones would delay the first.
const BATCH_COMMANDS_MAX: usize = 1024;
/// Batches under way. While so many are, commands gather for the next.
const IN_FLIGHT_MAX: usize = 8;
/// The same while few commands wait: a batch costs as much as a dozen commands, so few batches are better than small ones.
const IN_FLIGHT_SMALL_MAX: usize = 1;
/// The same while there are few writers, of whom each is a large part: then those who have just missed a batch do not wait for its
/// end, and the leader finds all of them in each round.
const IN_FLIGHT_FEW_MAX: usize = 2;
/// So many writers are few.
const FEW_WRITERS: usize = 16;
/// So many commands are worth a batch of their own.
const LARGE_BATCH: usize = 16;
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
    bytes_max: usize,
}

/// Takes commands from the queue and proposes them.
pub(crate) struct Proposals {
    queue: mpsc::Receiver<Queued>,
    answers: Answers,
    /// Commands that are taken from the queue before they can be proposed.
    gathered_max: usize,
}

/// For so many commands, and so many bytes of them, as may wait. `answers` is told of everything that is applied here.
pub(crate) fn new(answers: Answers, queue_max: usize, bytes_max: usize) -> (Proposer, Proposals) {
    let (sender, queue) = mpsc::channel(queue_max);
    // A command's weight is told to the semaphore as 32 bits.
    let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let proposer = Proposer { queue: sender, bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max };
    (proposer, Proposals { queue, answers, gathered_max: BATCH_COMMANDS_MAX.min(queue_max) })
}

impl Proposer {
    /// Proposes `command` and waits until it is applied here.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`], [`Error::NoLeader`] and [`Error::Stopped`] when it was not proposed;
    /// [`Error::Unknown`] when that is not known.
    pub(crate) async fn propose(&self, command: Command, deadline: Instant) -> Answer {
        let bytes = command.encoded_len();
        let weight = u32::try_from(bytes.clamp(1, self.bytes_max)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(weight).map_err(|_| Error::TooManyRequests)?;
        let (answer, answered) = oneshot::channel();
        let queued = Queued { command, bytes, deadline, answer, _permit: permit };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })?;
        match tokio::time::timeout_at(deadline + GRACE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Error::Unknown),
        }
    }
}

/// How a batch left the proposer.
enum Outcome {
    /// Its commands are answered.
    Over,
    /// It has not taken effect and never will.
    Again(Vec<Queued>),
    /// The leader may never have got it, and apply will say in the end. Others must not wait for that.
    InDoubt(BoxFuture<'static, Outcome>),
}

/// Batches, and how each of them ends.
type Batches<T> = FuturesUnordered<BoxFuture<'static, T>>;

/// What was handed to the leader and is not over.
#[derive(Default)]
struct UnderWay {
    /// Each ends with the number of its commands, too.
    batches: Batches<(usize, Outcome)>,
    commands: usize,
    /// The writers that there were when the last batch ended: those answered, and those who waited.
    writers: usize,
}

impl UnderWay {
    fn push(&mut self, commands: usize, batch: BoxFuture<'static, Outcome>) {
        self.commands += commands;
        self.batches.push(batch.map(move |outcome| (commands, outcome)).boxed());
    }

    /// Follows the end of a batch while others wait.
    fn end(&mut self, commands: usize, waiting: usize) {
        self.writers = self.commands + waiting;
        self.commands -= commands;
    }

    /// Whether what waits should be proposed now, beside what is under way, or rather gather.
    fn may_take(&self, waiting: usize, in_doubt: usize) -> bool {
        let small_max = if self.writers <= FEW_WRITERS { IN_FLIGHT_FEW_MAX } else { IN_FLIGHT_SMALL_MAX };
        let small = waiting < LARGE_BATCH && self.batches.len() >= small_max;
        waiting > 0 && !small && self.batches.len() + in_doubt < IN_FLIGHT_MAX
    }
}

impl Proposals {
    /// Runs until nobody can hand in commands any more.
    pub(crate) async fn run(mut self, appender: Appender, peers: Peers, leadership: watch::Receiver<Leadership>) {
        let (mut under_way, mut in_doubt) = (UnderWay::default(), Batches::new());
        let mut waiting: Vec<Queued> = Vec::new();
        loop {
            // Without a leader nothing else may wake this up.
            let stalled = under_way.may_take(waiting.len(), in_doubt.len());
            tokio::select! {
                biased;
                Some((commands, outcome)) = under_way.batches.next() => {
                    under_way.end(commands, waiting.len());
                    match outcome {
                        Outcome::Over => {}
                        Outcome::InDoubt(waits) => in_doubt.push(waits),
                        // At the front again: they came first.
                        Outcome::Again(batch) => drop(waiting.splice(0..0, batch)),
                    }
                }
                Some(outcome) = in_doubt.next() => {
                    if let Outcome::Again(batch) = outcome {
                        waiting.splice(0..0, batch);
                    }
                }
                received = self.queue.recv_many(&mut waiting, self.gathered_max), if waiting.len() < self.gathered_max =>
                {
                    if received == 0 {
                        return;
                    }
                }
                () = tokio::time::sleep(PAUSE), if stalled => {}
            }
            expire(&mut waiting);
            while under_way.may_take(waiting.len(), in_doubt.len()) {
                let now = *leadership.borrow();
                let Some(leader) = now.leader_id else { break };
                let batch = take_batch(&mut waiting);
                let commands = batch.len();
                let outcome = propose(batch, leader, now.term, appender.clone(), peers.clone(), self.answers.clone());
                under_way.push(commands, outcome);
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

/// What is known after a batch was handed to the leader, besides what apply will say.
enum Handed {
    /// The leader has applied it.
    Applied,
    /// Perhaps appended.
    InDoubt,
    /// Surely not appended.
    Refused,
}

fn propose(
    batch: Vec<Queued>,
    leader: u64,
    term: u64,
    appender: Appender,
    peers: Peers,
    answers: Answers,
) -> BoxFuture<'static, Outcome> {
    let deadline = batch.iter().map(|queued| queued.deadline).max().unwrap_or_else(Instant::now);
    let commands = commands(&batch);
    let (number, over) = answers.expect(term, batch);
    let head = Batch { term, origin_member: answers.own_id(), origin_batch: number, ..Batch::default() };
    let encoded = prepend(&head, &commands);
    let leads = leader == answers.own_id();
    async move {
        let mut over = Box::pin(tokio::time::timeout_at(deadline, over));
        let mut handing = pin!(async {
            if leads { append(&appender, encoded).await } else { forward(&peers, leader, encoded, deadline).await }
        });
        let handed = tokio::select! {
            biased;
            ended = &mut over => {
                let outcome = end(&answers, number, ended);
                if matches!(outcome, Outcome::Over) && !leads {
                    // To break the call off would cost more than its answer. A leader that is gone is not waited for. Here,
                    // there is no call, and what nobody waits for any more must not be appended yet.
                    handing.await;
                }
                return outcome;
            }
            handed = &mut handing => handed,
        };
        match handed {
            Handed::Applied => end(&answers, number, over.await),
            Handed::InDoubt => Outcome::InDoubt(async move { end(&answers, number, over.await) }.boxed()),
            Handed::Refused => match answers.take(number) {
                Some(batch) => {
                    // The leader has changed; its successor is not known at once.
                    tokio::time::sleep(PAUSE).await;
                    Outcome::Again(batch)
                }
                None => end(&answers, number, over.await),
            },
        }
    }
    .boxed()
}

/// What the end of the wait for a batch means.
fn end(answers: &Answers, number: u64, over: Result<Result<Over, oneshot::error::RecvError>, Elapsed>) -> Outcome {
    match over {
        Ok(Ok(Over::Superseded(batch))) => Outcome::Again(batch),
        Ok(Ok(Over::Answered) | Err(_)) => Outcome::Over,
        Err(_) => {
            if let Some(batch) = answers.take(number) {
                answers::unknown(batch);
            }
            Outcome::Over
        }
    }
}

/// The commands of a batch as they stand in its encoding.
fn commands(batch: &[Queued]) -> BytesMut {
    const TAG_AND_LENGTH_MAX: usize = 6;
    let mut encoded = BytesMut::with_capacity(batch.iter().map(|queued| queued.bytes + TAG_AND_LENGTH_MAX).sum());
    for queued in batch {
        prost::encoding::message::encode(COMMANDS_FIELD, &queued.command, &mut encoded);
    }
    encoded
}

/// The number of [`Batch`]'s field `commands`.
const COMMANDS_FIELD: u32 = 2;

/// Adds fields to an encoded batch: of one message, the encodings of its parts may stand one after the other.
fn prepend(head: &Batch, rest: &[u8]) -> Bytes {
    let mut encoded = BytesMut::with_capacity(head.encoded_len() + rest.len());
    head.encode_raw(&mut encoded);
    encoded.extend_from_slice(rest);
    encoded.freeze()
}

async fn append(appender: &Appender, batch: Bytes) -> Handed {
    match appender.append(batch).await {
        Ok(()) => Handed::Applied,
        Err(Error::NotLeader) => Handed::Refused,
        Err(_) => Handed::InDoubt,
    }
}

async fn forward(peers: &Peers, leader: u64, batch: Bytes, deadline: Instant) -> Handed {
    let Some(peer) = peers.get(leader) else { return Handed::Refused };
    let call = async { peer.forwards().propose(ProposeRequest { batch }).await };
    match tokio::time::timeout_at(deadline, call).await {
        Ok(Err(status)) if status.code() == Code::FailedPrecondition || never_left(&status) => Handed::Refused,
        Ok(Err(status)) => {
            tracing::debug!(%status, "whether a forwarded proposal was appended is not known yet");
            Handed::InDoubt
        }
        Ok(Ok(_)) => Handed::Applied,
        Err(_) => Handed::InDoubt,
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

#[cfg(test)]
mod tests {
    use keelson_proto::etcdserverpb::PutRequest;
    use keelson_proto::keelson::store::v1::command;

    use super::*;

    /// A command that waits for its answer.
    pub(super) fn queued() -> (Queued, oneshot::Receiver<Answer>) {
        let put = PutRequest { key: Bytes::from_static(b"key"), ..PutRequest::default() };
        let command = Command { command: Some(command::Command::Put(put)), ..Command::default() };
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let (answer, answered) = oneshot::channel();
        let bytes = command.encoded_len();
        (Queued { command, bytes, deadline: Instant::now(), answer, _permit: permit }, answered)
    }

    /// So many batches of one command under way.
    fn under_way(batches: usize, writers: usize) -> UnderWay {
        let mut under_way = UnderWay { writers, ..UnderWay::default() };
        (0..batches).for_each(|_| under_way.push(1, std::future::pending().boxed()));
        under_way
    }

    #[test]
    fn few_commands_gather_behind_one_batch_and_many_do_not() {
        let takes = |waiting, batches| under_way(batches, FEW_WRITERS + 1).may_take(waiting, 0);
        assert!(!takes(0, 0));
        assert!(takes(1, IN_FLIGHT_SMALL_MAX - 1));
        assert!(!takes(LARGE_BATCH - 1, IN_FLIGHT_SMALL_MAX));
        assert!(takes(LARGE_BATCH, IN_FLIGHT_MAX - 1));
        assert!(!takes(BATCH_COMMANDS_MAX, IN_FLIGHT_MAX));
    }

    #[test]
    fn few_writers_do_not_wait_for_each_other() {
        let takes = |waiting, batches| under_way(batches, FEW_WRITERS).may_take(waiting, 0);
        assert!(takes(1, IN_FLIGHT_FEW_MAX - 1));
        assert!(!takes(LARGE_BATCH - 1, IN_FLIGHT_FEW_MAX));
    }

    #[tokio::test]
    async fn writers_are_those_answered_and_those_who_wait() {
        let mut under_way = under_way(1, 0);
        under_way.push(3, async { Outcome::Over }.boxed());
        let (commands, _) = under_way.batches.next().await.expect("one is over");
        under_way.end(commands, 2);
        assert_eq!((under_way.writers, under_way.commands), (1 + 3 + 2, 1));
    }

    #[test]
    fn nobody_waits_for_a_batch_of_which_nobody_knows_whether_the_leader_got_it() {
        let takes = |in_doubt| under_way(0, FEW_WRITERS + 1).may_take(1, in_doubt);
        assert!(takes(IN_FLIGHT_SMALL_MAX));
        assert!(!takes(IN_FLIGHT_MAX), "what is in doubt is bounded, too");
    }

    #[tokio::test]
    async fn parts_of_a_batch_decode_as_one() {
        let batch = [queued().0, queued().0];
        let head = Batch { term: 3, origin_member: 4, origin_batch: 5, ..Batch::default() };
        let of_member = prepend(&head, &commands(&batch));
        let stamped = prepend(&Batch { proposed_at_unix_millis: 6, ..Batch::default() }, &of_member);
        let expected = Batch {
            proposed_at_unix_millis: 6,
            commands: batch.iter().map(|queued| queued.command.clone()).collect(),
            ..head
        };
        assert_eq!(Batch::decode(stamped).expect("decodes"), expected);
    }
}
