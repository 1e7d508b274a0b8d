//! The thread that writes: whatever has queued up becomes one round of records and one sync.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::storage::IOFlushed;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::error::Error;
use super::files::Files;
use super::format::GateState;
use crate::machine::{self, Machine};
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

/// Writes that may wait. openraft rarely has more than a few dozens under way.
const QUEUE_MAX: usize = 1024;
/// A round is written when it has grown to this: more would only delay those at its head.
const ROUND_BYTES_MAX: usize = 8 << 20;

type Done = oneshot::Sender<io::Result<()>>;

/// A change of the log.
pub(super) enum Write {
    Append {
        entries: Vec<Entry>,
        callback: IOFlushed<TypeConfig>,
    },
    Vote {
        vote: Vote,
        done: Done,
    },
    /// Removes the entries at `from` and after it.
    Truncate {
        from: u64,
        done: Done,
    },
    /// Removes the entries up to and including `upto`.
    Purge {
        upto: LogId,
        done: Done,
    },
    Gate {
        state: GateState,
        done: Done,
    },
}

/// Who to tell when the round is durable.
enum Waiting {
    Callback(IOFlushed<TypeConfig>),
    Done(Done),
}

impl Waiting {
    fn complete(self, result: io::Result<()>) {
        match self {
            Waiting::Callback(callback) => callback.io_completed(result),
            // Whoever asked has gone.
            Waiting::Done(done) => drop(done.send(result)),
        }
    }
}

/// Where writes are queued, and the thread that takes them.
///
/// Dropping the last clone waits until the thread has written what is queued and has let go of the folder, so that it can be
/// opened again.
#[derive(Clone)]
pub(super) struct Sender(Arc<Thread>);

struct Thread {
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Write>>,
    /// `None` in a simulation, where a task writes.
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    pub(super) async fn send(&self, write: Write) -> io::Result<()> {
        let queue = self.0.queue.as_ref().ok_or_else(stopped)?;
        queue.send(write).await.map_err(|_| stopped())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer thread panicked");
        }
    }
}

/// The answer after the thread has ended.
pub(super) fn stopped() -> io::Error {
    io::Error::other("the log is not written any more")
}

pub(super) fn spawn(shared: Arc<Shared>, files: Files) -> Result<Sender, Error> {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    if let Some(machine) = machine::current() {
        machine::spawn(run_simulated(machine, shared, files, queue));
        return Ok(Sender(Arc::new(Thread { queue: Some(sender), thread: None })));
    }
    let thread = std::thread::Builder::new().name("raft-log".to_owned());
    let thread = thread.spawn(move || run(&shared, files, queue)).map_err(Error::Thread)?;
    Ok(Sender(Arc::new(Thread { queue: Some(sender), thread: Some(thread) })))
}

fn run(shared: &Shared, mut files: Files, mut queue: mpsc::Receiver<Write>) {
    while let Some(first) = queue.blocking_recv() {
        shared.syncs.begin();
        let begin = Instant::now();
        let round = Round::gather(first, &mut queue, &mut files, shared);
        shared.syncs.pass();
        let result = write(&mut files, shared, begin);
        let flow = round.tell(&mut files, shared, result);
        shared.syncs.end();
        if flow.is_break() {
            break;
        }
    }
    // After a failure the rest is dropped, which tells the waiting ones that nothing was written.
    queue.close();
}

/// As [`run`], on a machine that says how long a sync takes and whether it succeeds.
async fn run_simulated(machine: Machine, shared: Arc<Shared>, mut files: Files, mut queue: mpsc::Receiver<Write>) {
    while let Some(first) = queue.recv().await {
        shared.syncs.begin();
        let begin = Instant::now();
        let round = Round::gather(first, &mut queue, &mut files, &shared);
        let result = async {
            let failed = |source| Error::Simulated { source };
            let (file, range) = files.target();
            machine.world().before_sync(&file, range).await.map_err(failed)?;
            write(&mut files, &shared, begin)?;
            machine.world().after_sync().await.map_err(failed)
        };
        let result = result.await;
        let flow = round.tell(&mut files, &shared, result);
        shared.syncs.end();
        if flow.is_break() {
            break;
        }
    }
}

/// Writes the round that was begun at `begin`, perhaps with a new segment.
fn write(files: &mut Files, shared: &Shared, begin: Instant) -> Result<(), Error> {
    let bytes = files.round_bytes();
    files.write()?;
    shared.figures.sync_seconds.observe(begin.elapsed().as_secs_f64());
    shared.figures.written_bytes.inc_by(bytes as u64);
    Ok(())
}

/// Who waits for the round that is under way.
struct Round {
    waiting: Vec<Waiting>,
    /// Entries before this index are durable after it.
    durable_end: Option<u64>,
    truncations: usize,
}

impl Round {
    /// All that is queued, within bounds.
    fn gather(first: Write, queue: &mut mpsc::Receiver<Write>, files: &mut Files, shared: &Shared) -> Self {
        let mut round = Self { waiting: Vec::new(), durable_end: None, truncations: 0 };
        files.begin(&shared.places);
        let mut next = Some(first);
        while let Some(write) = next {
            let waiting = round.add(files, write);
            round.waiting.push(waiting);
            next = if files.round_bytes() < ROUND_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        round
    }

    /// Adds one write to the files' round and says who waits for it.
    fn add(&mut self, files: &mut Files, write: Write) -> Waiting {
        match write {
            Write::Append { entries, callback } => {
                for entry in &entries {
                    files.append(entry);
                }
                if let Some(last) = entries.last() {
                    self.durable_end = Some(last.log_id.index + 1);
                }
                Waiting::Callback(callback)
            }
            Write::Vote { vote, done } => {
                files.vote(vote);
                Waiting::Done(done)
            }
            Write::Truncate { from, done } => {
                files.truncate(from);
                self.truncations += 1;
                self.durable_end = self.durable_end.map(|end| end.min(from));
                Waiting::Done(done)
            }
            Write::Purge { upto, done } => {
                files.purge(upto);
                Waiting::Done(done)
            }
            Write::Gate { state, done } => {
                files.gate(state);
                Waiting::Done(done)
            }
        }
    }

    /// Ends a round with its outcome.
    fn tell(self, files: &mut Files, shared: &Shared, result: Result<(), Error>) -> ControlFlow<()> {
        match result {
            Ok(()) => {
                files.publish(&shared.places);
                shared.cache.lock().durable(self.truncations, self.durable_end);
                for one in self.waiting {
                    one.complete(Ok(()));
                }
                files.remove_unneeded(&shared.places);
                ControlFlow::Continue(())
            }
            Err(error) => {
                let error = Arc::new(error);
                for one in self.waiting {
                    one.complete(Err(io::Error::other(Arc::clone(&error))));
                }
                ControlFlow::Break(())
            }
        }
    }
}
