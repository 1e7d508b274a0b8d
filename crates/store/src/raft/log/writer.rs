//! The thread that writes: whatever has queued up becomes one RocksDB batch and one sync.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use prost::Message as _;
use rocksdb::{WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::format::GateState;
use super::{Shared, format};
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

/// Where writes are queued. When all are dropped, the thread writes what is queued and ends.
#[derive(Clone)]
pub(super) struct Sender(mpsc::Sender<Write>);

impl Sender {
    pub(super) async fn send(&self, write: Write) -> io::Result<()> {
        self.0.send(write).await.map_err(|_| stopped())
    }
}

/// The answer after the thread has ended.
pub(super) fn stopped() -> io::Error {
    io::Error::other("the log is not written any more")
}

pub(super) fn spawn(shared: Arc<Shared>) -> Result<Sender, Error> {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let thread = std::thread::Builder::new().name("raft-log".to_owned());
    thread.spawn(move || run(&shared, queue)).map_err(Error::Thread)?;
    Ok(Sender(sender))
}

fn run(shared: &Shared, mut queue: mpsc::Receiver<Write>) {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    while let Some(first) = queue.blocking_recv() {
        let mut batch = WriteBatch::default();
        let mut waiting = Vec::new();
        let mut durable_end = None;
        let mut next = Some(first);
        while let Some(write) = next {
            waiting.push(add(&mut batch, &mut durable_end, write));
            next = if batch.size_in_bytes() < BATCH_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        let result = shared.db.write_opt(batch, &synced);
        if let (Ok(()), Some(end)) = (&result, durable_end) {
            shared.cache.lock().durable(end);
        }
        if tell(waiting, result).is_break() {
            break;
        }
    }
    // After a failure the rest is dropped, which tells the waiting ones that nothing was written.
    queue.close();
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

fn tell(waiting: Vec<Waiting>, result: Result<(), rocksdb::Error>) -> ControlFlow<()> {
    match result {
        Ok(()) => {
            for one in waiting {
                one.complete(Ok(()));
            }
            ControlFlow::Continue(())
        }
        Err(source) => {
            let error = Arc::new(Error::Rocks { operation: "writing", source });
            for one in waiting {
                one.complete(Err(io::Error::other(Arc::clone(&error))));
            }
            ControlFlow::Break(())
        }
    }
}
