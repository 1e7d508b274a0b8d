//! The thread that writes: whatever has queued up becomes one RocksDB batch and one sync.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::storage::IOFlushed;
use prost::Message as _;
use rocksdb::{WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::format::GateState;
use super::{Shared, format};
use crate::machine::{self, Machine};
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

/// Writes that may wait. openraft rarely has more than a few dozens under way.
const QUEUE_MAX: usize = 1024;
/// A batch is written when it has grown to this: more would only delay those at its head.
const BATCH_BYTES_MAX: usize = 8 << 20;

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

/// Who to tell when the batch is durable.
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
/// Dropping the last clone waits until the thread has written what is queued and has let go of the database: a process
/// whose runtime is gone must have no thread left inside RocksDB, which does not survive the end of `main`.
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

pub(super) fn spawn(shared: Arc<Shared>) -> Result<Sender, Error> {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    if let Some(machine) = machine::current() {
        machine::spawn(run_simulated(machine, shared, queue));
        return Ok(Sender(Arc::new(Thread { queue: Some(sender), thread: None })));
    }
    let thread = std::thread::Builder::new().name("raft-log".to_owned());
    let thread = thread.spawn(move || run(&shared, queue)).map_err(Error::Thread)?;
    Ok(Sender(Arc::new(Thread { queue: Some(sender), thread: Some(thread) })))
}

fn run(shared: &Shared, mut queue: mpsc::Receiver<Write>) {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    while let Some(first) = queue.blocking_recv() {
        let mut round = Round::gather(first, &mut queue);
        shared.syncs.begin();
        shared.syncs.pass();
        let result = round.write(shared, &synced);
        shared.syncs.end();
        if round.tell(shared, result).is_break() {
            break;
        }
    }
    // After a failure the rest is dropped, which tells the waiting ones that nothing was written.
    queue.close();
}

/// As [`run`], on a machine that says how long a sync takes and whether it succeeds.
async fn run_simulated(machine: Machine, shared: Arc<Shared>, mut queue: mpsc::Receiver<Write>) {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    while let Some(first) = queue.recv().await {
        let mut round = Round::gather(first, &mut queue);
        shared.syncs.begin();
        let result = async {
            let failed = |source| Error::Simulated { source };
            machine.world().before_sync(round.batch.size_in_bytes()).await.map_err(failed)?;
            round.write(&shared, &synced)?;
            machine.world().after_sync().await.map_err(failed)
        };
        let result = result.await;
        shared.syncs.end();
        if round.tell(&shared, result).is_break() {
            break;
        }
    }
}

/// Writes that share one sync.
struct Round {
    batch: WriteBatch,
    waiting: Vec<Waiting>,
    /// Entries before this index are durable after it.
    durable_end: Option<u64>,
}

impl Round {
    /// All that is queued, within bounds.
    fn gather(first: Write, queue: &mut mpsc::Receiver<Write>) -> Self {
        let mut round = Self { batch: WriteBatch::default(), waiting: Vec::new(), durable_end: None };
        let mut next = Some(first);
        while let Some(write) = next {
            let waiting = add(&mut round.batch, &mut round.durable_end, write);
            round.waiting.push(waiting);
            next = if round.batch.size_in_bytes() < BATCH_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        round
    }

    fn write(&mut self, shared: &Shared, synced: &WriteOptions) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        shared.figures.written_bytes.inc_by(batch.size_in_bytes() as u64);
        let begin = Instant::now();
        let written = shared.db.write_opt(batch, synced).map_err(Error::rocks("writing"));
        shared.figures.sync_seconds.observe(begin.elapsed().as_secs_f64());
        written
    }

    /// Ends a round with its outcome.
    fn tell(self, shared: &Shared, result: Result<(), Error>) -> ControlFlow<()> {
        match result {
            Ok(()) => {
                if let Some(end) = self.durable_end {
                    shared.cache.lock().durable(end);
                }
                for one in self.waiting {
                    one.complete(Ok(()));
                }
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

/// Adds one write to the batch and says who waits for it.
fn add(batch: &mut WriteBatch, durable_end: &mut Option<u64>, write: Write) -> Waiting {
    match write {
        Write::Append { entries, callback } => {
            for entry in &entries {
                batch.put(format::entry_key(entry.log_id.index), codec::from_entry(entry).encode_to_vec());
            }
            if let Some(last) = entries.last() {
                *durable_end = Some(last.log_id.index + 1);
            }
            Waiting::Callback(callback)
        }
        Write::Vote { vote, done } => {
            batch.put(format::VOTE, format::encode_vote(&vote));
            Waiting::Done(done)
        }
        Write::Truncate { from, done } => {
            batch.delete_range(format::entry_key(from).as_slice(), format::entries_end());
            *durable_end = durable_end.map(|end| end.min(from));
            Waiting::Done(done)
        }
        Write::Purge { upto, done } => {
            batch.delete_range(format::entry_key(0).as_slice(), format::entry_key(upto.index + 1).as_slice());
            batch.put(format::PURGED, format::encode_purged(&upto));
            Waiting::Done(done)
        }
        Write::Gate { state, done } => {
            batch.put(format::GATE, format::encode_gate(state));
            Waiting::Done(done)
        }
    }
}
