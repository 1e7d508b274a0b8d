//! The Raft log on its own RocksDB: one thread writes, anybody reads.
//!
//! **Invariants**
//! - Votes, appends, truncations and purges reach the disk in the order in which they were asked for.
//! - A callback runs only after its write, and every write before it, was synced. After one failed write nothing is
//!   acknowledged any more.
//! - An appended entry can be read at once: until it is on disk it stays in the [cache].

mod cache;
mod error;
mod folder;
mod format;
mod reader;
mod syncs;
mod torn;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;
use rocksdb::DB;
use tokio::sync::oneshot;

use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::metrics::LogFigures;
use crate::options::Stall;
use cache::Cache;
use writer::Write;

pub(crate) use error::Error;
pub(crate) use folder::{Identity, found};
pub(crate) use format::GateState;

/// What is known of the log without reading it.
struct Ends {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

/// What readers and the writer share.
struct Shared {
    db: DB,
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
    /// Opens the log in `path`, or creates it there for `identity`; says whose it is. The cluster of an existing one is what
    /// it says itself, since the list of members that a member is started with may have changed.
    ///
    /// # Errors
    /// When another process has it open, when it belongs to another member, when it is of a newer format, or
    /// when it cannot be read.
    #[cfg(test)]
    fn open(path: &Path, identity: Identity, cache_bytes: usize) -> Result<(Self, Identity), Error> {
        Self::open_as(path, identity, None, cache_bytes)
    }

    /// As above. A log that is created is that of `joined`, when given: a member that was added to a cluster has an id of
    /// the cluster's choice, and remembers the one that its name would have given it, by which it is known again.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn open_as(
        path: &Path,
        identity: Identity,
        joined: Option<Identity>,
        cache_bytes: usize,
    ) -> Result<(Self, Identity), Error> {
        let (db, identity) = folder::open(path, identity, joined)?;
        let vote = format::read_vote(&db)?;
        let purged = format::read_purged(&db)?;
        let last = format::last_entry(&db)?.map(|entry| entry.log_id).max(purged);
        let shared = Arc::new(Shared {
            db,
            cache: Mutex::new(Cache::new(cache_bytes, last.map_or(0, |last| last.index + 1))),
            ends: Mutex::new(Ends { vote, purged, last }),
            figures: LogFigures::default(),
            syncs: syncs::Syncs::default(),
        });
        let writer = writer::spawn(Arc::clone(&shared))?;
        Ok((Self { shared, writer }, identity))
    }

    /// Whether there is a log in `path` that says whose it is. A member that crashed while it made its log has none, and starts
    /// as if there were no log. One that cannot be read is there: opening it says what is wrong. Blocks.
    pub(crate) fn exists(path: &Path) -> bool {
        path.join("CURRENT").exists() && folder::is_owned(path)
    }

    /// What the member decided about taking part; see [`super::gate`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn gate(&self) -> Result<Option<GateState>, Error> {
        format::read_gate(&self.shared.db)
    }

    /// Stores the decision durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn save_gate(&self, state: GateState) -> io::Result<()> {
        self.write(|done| Write::Gate { state, done }).await
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
        Ok(LogState { last_purged_log_id: ends.purged, last_log_id: ends.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        // Readers decide by the vote whether a leader is still the leader, so the newer one counts at once.
        self.shared.ends.lock().vote = Some(vote);
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
            ends.last = last.max(ends.purged);
        }
        self.write(|done| Write::Truncate { from, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.shared.cache.lock().purge(upto.index);
        {
            let mut ends = self.shared.ends.lock();
            ends.purged = ends.purged.max(Some(upto));
            ends.last = ends.last.max(Some(upto));
        }
        self.write(|done| Write::Purge { upto, done }).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::EntryPayload;
    use openraft::storage::RaftLogReader as _;

    use super::*;
    use crate::raft::types::{Proposal, log_id};

    const OWN: Identity = Identity { cluster_id: 1, member_id: 2 };
    /// Two of the entries below.
    const CACHE_BYTES: usize = 2500;

    fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
        let payload = || EntryPayload::Normal(Proposal(Bytes::from(vec![7; 1000])));
        indexes.map(|index| Entry { log_id: log_id(term, index), payload: payload() }).collect()
    }

    async fn stored(log: &mut Log) -> Vec<LogId> {
        let entries = log.try_get_log_entries(..).await.expect("reads");
        entries.iter().map(|entry| entry.log_id).collect()
    }

    /// The writing thread closes the folder a moment after the last handle is gone.
    async fn reopen(path: &Path) -> Log {
        loop {
            match Log::open(path, OWN, CACHE_BYTES) {
                Err(Error::InUse { .. }) => tokio::task::yield_now().await,
                other => break other.expect("opens").0,
            }
        }
    }

    /// The newest file that RocksDB's write-ahead log is in.
    fn newest_file(folder: &Path) -> std::path::PathBuf {
        let files =
            std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().expect("a file")
    }

    #[tokio::test]
    async fn a_log_that_is_made_for_a_restored_member_has_decided_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        found(&path, OWN, log_id(0, 0)).expect("is made");
        let mut log = reopen(&path).await;
        assert_eq!(log.gate().expect("reads"), None);
        assert_eq!(log.get_log_state().await.expect("reads").last_log_id, Some(log_id(0, 0)));
    }

    #[tokio::test]
    async fn half_zeros_at_the_end_were_never_synced_and_anything_before_is_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut log, _) = Log::open(folder.path(), OWN, CACHE_BYTES).expect("opens");
        for index in 0..4 {
            log.append(entries(1, index..index + 1), IOFlushed::noop()).await.expect("appends");
            if index < 3 {
                // Queued behind the append, so that each entry is a record of its own.
                log.save_vote(&Vote::new_committed(1, 9)).await.expect("votes");
            }
        }
        drop(log);
        let file = newest_file(folder.path());
        let mut content = std::fs::read(&file).expect("reads");
        let end = content.len();
        content[(end - 1) / 512 * 512..].fill(0);
        let middle = end / 2;
        content[middle] ^= 1;
        std::fs::write(&file, &content).expect("writes");
        let refused = Log::open(folder.path(), OWN, CACHE_BYTES).err();
        assert!(matches!(refused, Some(Error::DamagedFile { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&file).expect("reads"), content);

        content[middle] ^= 1;
        std::fs::write(&file, &content).expect("writes");
        let mut log = reopen(folder.path()).await;
        let expected: Vec<LogId> = (0..3).map(|index| log_id(1, index)).collect();
        assert_eq!(stored(&mut log).await, expected);
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut log, _) = Log::open(folder.path(), OWN, CACHE_BYTES).expect("opens");
        log.append(entries(1, 0..10), IOFlushed::noop()).await.expect("appends");
        // Readable at once; after the vote, which queued behind them, on disk and partly evicted.
        assert_eq!(stored(&mut log).await.len(), 10);
        log.save_vote(&Vote::new_committed(2, 9)).await.expect("votes");
        assert_eq!(stored(&mut log).await, entries(1, 0..10).iter().map(|entry| entry.log_id).collect::<Vec<_>>());
        log.truncate_after(Some(log_id(1, 6))).await.expect("truncates");
        log.append(entries(2, 7..9), IOFlushed::noop()).await.expect("appends");
        log.purge(log_id(1, 2)).await.expect("purges");
        log.save_gate(GateState::Open).await.expect("saves");
        let expected = [(1, 3), (1, 4), (1, 5), (1, 6), (2, 7), (2, 8)].map(|(term, index)| log_id(term, index));
        let after_purge = log.try_get_log_entries(3..).await.expect("reads");
        assert_eq!(after_purge.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), expected);
        let purged = log.limited_get_log_entries(1, 6).await.expect("what was purged is no damage");
        assert!(purged.is_empty(), "{purged:?}");
        drop(log);

        let mut log = reopen(folder.path()).await;
        let state = log.get_log_state().await.expect("reads");
        assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 2)), Some(log_id(2, 8))));
        assert_eq!(log.read_vote().await.expect("reads"), Some(Vote::new_committed(2, 9)));
        assert_eq!(log.gate().expect("reads"), Some(GateState::Open));
        let restored = log.try_get_log_entries(3..100).await.expect("reads");
        assert_eq!(restored.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn a_folder_of_somebody_else_or_of_a_newer_format_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, _) = Log::open(folder.path(), OWN, CACHE_BYTES).expect("opens");
        let in_use = Log::open(folder.path(), OWN, CACHE_BYTES).err();
        assert!(matches!(in_use, Some(Error::InUse { .. })), "{in_use:?}");
        let newer = (format::FORMAT_VERSION + 1).to_be_bytes();
        log.shared.db.put(format::FORMAT, newer).expect("writes");
        drop(log);
        let refused = loop {
            match Log::open(folder.path(), OWN, CACHE_BYTES).err() {
                Some(Error::InUse { .. }) => tokio::task::yield_now().await,
                other => break other,
            }
        };
        assert!(matches!(refused, Some(Error::NewerFormat { .. })), "{refused:?}");

        let folder = tempfile::tempdir().expect("a folder");
        drop(Log::open(folder.path(), OWN, CACHE_BYTES).expect("opens"));
        let other = Identity { member_id: 5, ..OWN };
        let refused = loop {
            match Log::open(folder.path(), other, CACHE_BYTES).err() {
                Some(Error::InUse { .. }) => tokio::task::yield_now().await,
                other => break other,
            }
        };
        assert!(matches!(refused, Some(Error::Foreign { found_cluster: 1, .. })), "{refused:?}");
    }
}
