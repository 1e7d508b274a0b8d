//! The Raft log in files of its own: one thread writes, anybody reads.
//!
//! **Invariants**
//! - Votes, appends, truncations and purges reach the disk in the order in which they were asked for.
//! - A callback runs only after its write, and every write before it, was synced. After one failed write nothing is
//!   acknowledged any more.
//! - An appended entry can be read at once: until it is on disk it stays in the [cache].

mod cache;
mod error;
mod files;
mod folder;
mod format;
mod places;
mod reader;
mod record;
mod replay;
mod segment;
mod syncs;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::metrics::LogFigures;
use crate::options::Stall;
use cache::Cache;
use files::Files;
use folder::Folder;
use places::Places;
use replay::Kept;
use writer::Write;

pub(crate) use error::Error;
pub(crate) use folder::{Identity, found};
pub(crate) use format::GateState;

/// How large a segment becomes, usually.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 20;

/// How large things may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// See [`crate::Options::log_cache_bytes`].
    pub(crate) cache_bytes: usize,
    /// See [`crate::Options::log_segment_bytes`].
    pub(crate) segment_bytes: u64,
}

/// What is known of the log without reading it.
struct Ends {
    kept: Kept,
    last: Option<LogId>,
}

/// What readers and the writer share.
struct Shared {
    folder: Folder,
    places: Mutex<Places>,
    cache: Mutex<Cache>,
    ends: Mutex<Ends>,
    figures: LogFigures,
    syncs: syncs::Syncs,
}

/// The log of one member. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    writer: writer::Sender,
}

impl Log {
    /// Opens the log in `path`, or creates it there for `own`; says whose it is. The cluster of an existing one is what
    /// it says itself, since the list of members that a member is started with may have changed. A log that is created is that of
    /// `joined`, when given: a member that was added to a cluster has an id of the cluster's choice, and remembers the one that
    /// its name would have given it, by which it is known again.
    ///
    /// # Errors
    /// When another process has it open, when it belongs to another member, when it is of another format, or when it cannot be
    /// read.
    pub(crate) fn open(
        path: &Path,
        own: Identity,
        joined: Option<Identity>,
        sizes: Sizes,
    ) -> Result<(Self, Identity), Error> {
        let (folder, replayed, identity) = folder::open(path, own, joined, sizes.segment_bytes)?;
        let kept = replayed.kept;
        let (files, places) = Files::new(replayed);
        let newest = places.end().checked_sub(1).and_then(|index| Some((index, places.get(index)?)));
        let newest =
            newest.map(|(index, (place, segment))| reader::read_entry(path, place, &segment, index)).transpose()?;
        let last = newest.map(|entry| entry.log_id).max(kept.purged);
        let shared = Arc::new(Shared {
            folder,
            places: Mutex::new(places),
            cache: Mutex::new(Cache::new(sizes.cache_bytes, last.map_or(0, |last| last.index + 1))),
            ends: Mutex::new(Ends { kept, last }),
            figures: LogFigures::default(),
            syncs: syncs::Syncs::default(),
        });
        let log = Self { writer: writer::spawn(Arc::clone(&shared), files)?, shared };
        Ok((log, identity))
    }

    /// Whether there is a log in `path` that says whose it is. A member that crashed while it made its log has none, and starts
    /// as if there were no log. One that cannot be read is there: opening it says what is wrong. Blocks.
    pub(crate) fn exists(path: &Path) -> bool {
        folder::is_owned(path)
    }

    /// What the member decided about taking part; see [`super::gate`].
    pub(crate) fn gate(&self) -> Option<GateState> {
        self.shared.ends.lock().kept.gate
    }

    /// Stores the decision durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn save_gate(&self, state: GateState) -> io::Result<()> {
        self.write(|done| Write::Gate { state, done }).await?;
        self.shared.ends.lock().kept.gate = Some(state);
        Ok(())
    }

    /// Lets tests keep the writer waiting.
    pub(crate) fn stall_by(&self, stall: Stall) {
        self.shared.syncs.stall_by(stall);
    }

    /// How long the disk has taken for the sync that is under way.
    pub(crate) fn outstanding_sync(&self) -> Option<Duration> {
        self.shared.syncs.outstanding()
    }

    /// What the writer measures.
    pub(crate) fn figures(&self) -> &LogFigures {
        &self.shared.figures
    }

    /// The last entry's id.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.shared.ends.lock().last
    }

    /// How many bytes its entries take.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.places.lock().bytes()
    }

    /// The index of the last entry that must be purged so that the others take no more than `bytes`.
    pub(crate) fn excess(&self, bytes: u64) -> Option<u64> {
        self.shared.places.lock().excess(bytes)
    }

    async fn write(&self, write: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Write) -> io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.writer.send(write(done)).await?;
        outcome.await.unwrap_or_else(|_| Err(writer::stopped()))
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let ends = self.shared.ends.lock();
        Ok(LogState { last_purged_log_id: ends.kept.purged, last_log_id: ends.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        // Readers decide by the vote whether a leader is still the leader, so the newer one counts at once.
        self.shared.ends.lock().kept.vote = Some(vote);
        self.write(|done| Write::Vote { vote, done }).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if let Some(last) = entries.last() {
            self.shared.cache.lock().append(&entries);
            self.shared.ends.lock().last = Some(last.log_id);
        }
        self.writer.send(Write::Append { entries, callback }).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        self.shared.cache.lock().truncate(from);
        {
            let mut ends = self.shared.ends.lock();
            ends.last = last.max(ends.kept.purged);
        }
        self.write(|done| Write::Truncate { from, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            // Before the entries go: a reader that misses one looks here why.
            let mut ends = self.shared.ends.lock();
            ends.kept.purged = ends.kept.purged.max(Some(upto));
            ends.last = ends.last.max(Some(upto));
        }
        self.shared.cache.lock().purge(upto.index);
        self.write(|done| Write::Purge { upto, done }).await
    }
}

#[cfg(test)]
mod tests;
