//! The replicated state machine over its own RocksDB: applies log entries, and lets readers and watchers look.
//!
//! It knows nothing of consensus: an entry's id and the membership are opaque bytes that it keeps with its position.
//!
//! **Invariants**
//! - One slice of entries is one RocksDB batch, with the applied position inside. RocksDB's own log is off; a restart falls
//!   back to what was flushed and the caller replays its log from [`State::applied`].
//! - Revisions, replies and events become visible only after that write.
//! - Nothing that is applied reads a clock (only how long it took is measured), draws a random number or depends on the order of a hash table.

mod checkpoint;
pub(crate) mod cluster;
pub(crate) mod columns;
mod copies;
mod draft;
mod error;
mod flush;
mod folder;
pub(crate) mod generation;
#[cfg(test)]
mod invariants;
pub(crate) mod listing;
pub(crate) mod meta;
#[cfg(test)]
mod model;
mod options;
mod page_counts;
#[cfg(test)]
mod properties;
pub(crate) mod reader;
mod reclaim;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use keelson_proto::keelson::store::v1::{Batch, Reply};

pub(crate) use copies::{Reset, first_folder, inspect, reset};
pub(crate) use draft::Draft;
pub use error::Error;
pub use options::Options;
pub use reader::Reader;
pub(crate) use reclaim::Pass;

use crate::apply;
use crate::watch::hub::Wakes;
use generation::Generation;
use reader::Shared;

/// One entry of the replicated log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the log, from 1, without gaps from one entry to the next.
    pub index: u64,
    /// The term of the leader that appended it.
    pub term: u64,
    /// The log's own encoding of the entry's id, kept as it is.
    pub log_id: Bytes,
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug)]
pub enum Payload {
    Blank,
    /// The log's own encoding of a membership, kept as it is.
    Membership(Bytes),
    Batch(Batch),
}

/// How far the log has been applied. All zero and empty before the first entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub index: u64,
    pub term: u64,
    /// As the last entry gave it.
    pub log_id: Bytes,
    /// As the last membership entry gave it.
    pub membership: Bytes,
}

/// The one writer of a state folder.
///
/// Dropping it closes the folder as soon as the last read under way is over; readers then get `Stopped` and watchers end.
pub struct State {
    root: PathBuf,
    options: Options,
    generation: Arc<Generation>,
    shared: Arc<Shared>,
}

impl State {
    /// Opens the state in `path`, or creates it there.
    ///
    /// # Errors
    /// When the folder cannot be used, is damaged, or was written by a newer format.
    pub fn open(path: &Path, options: &Options) -> Result<State, Error> {
        let current = folder::prepare(path)?;
        let generation = Arc::new(Generation::open(&current, options)?);
        let shared = Arc::new(Shared::new(generation.clone()));
        Ok(State { root: path.to_owned(), options: options.clone(), generation, shared })
    }

    /// How far the log has been applied.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.generation.applied()
    }

    /// Applies entries that follow the last applied one, and answers each command of each entry, in order; entries without
    /// commands get an empty list.
    ///
    /// # Errors
    /// When the disk fails, the data is damaged, an entry is out of order or a command is not known. The state is then as
    /// before the call; the member must stop.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Vec<Reply>>, Error> {
        self.apply_then_wake(entries).map(|(replies, _wakes)| replies)
    }

    /// The same; the watchers are woken when the caller has told those who wait for the replies.
    pub(crate) fn apply_then_wake(&mut self, entries: Vec<Entry>) -> Result<(Vec<Vec<Reply>>, Option<Wakes>), Error> {
        let Some(last) = entries.last() else {
            return Ok((Vec::new(), None));
        };
        let begin = Instant::now();
        let figures = self.shared.measured();
        figures.count_entries(&entries);
        let mut applied = self.generation.applied();
        (applied.index, applied.term, applied.log_id) = (last.index, last.term, last.log_id.clone());
        let outcome =
            apply::entries(&self.generation, figures, self.shared.hub().wants_prev_kv(), entries, &mut applied)?;
        figures.count_revisions(&outcome.revisions);
        let commit = Instant::now();
        self.generation.commit(outcome.effects, applied, &self.options)?;
        figures.applied(begin.elapsed(), commit.elapsed());
        if let Some(revision) = outcome.reclaim {
            self.shared.want_reclaimed(revision);
        }
        let wakes = self.shared.hub().publish(outcome.revision, outcome.revisions);
        Ok((outcome.replies, Some(wakes)))
    }

    /// The last entry that a crash cannot take back. The log may be purged up to it, not further.
    #[must_use]
    pub fn flushed_index(&self) -> u64 {
        self.generation.flushed_index()
    }

    /// Makes everything applied durable, and waits for it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<(), Error> {
        self.generation.flush()
    }

    /// Access for reads and watches beside `apply`.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Writes a complete copy of the state into `dir`, which must not exist; returns the position of the copy.
    ///
    /// # Errors
    /// When the disk fails or `dir` exists.
    pub fn checkpoint(&self, dir: &Path) -> Result<Applied, Error> {
        Ok(checkpoint::create(&self.generation, dir)?.applied)
    }

    /// Replaces everything by the checkpoint in `dir`, which stays as it is. A crash leaves the old content or the new one.
    /// Readers go on with the new content; watchers continue from its history, or learn that it was compacted.
    ///
    /// # Errors
    /// When the disk fails, or the checkpoint is damaged or of a newer format; the old content then stays.
    pub fn install(&mut self, dir: &Path) -> Result<(), Error> {
        let (name, path) = folder::adopt(&self.root, dir)?;
        let generation = Generation::open(&path, &self.options)?;
        folder::switch(&self.root, &name)?;
        let generation = Arc::new(generation.succeed(&self.generation.auth));
        let old = std::mem::replace(&mut self.generation, generation.clone());
        old.remove_when_closed();
        let revision = generation.figures.revision();
        self.shared.replace(generation);
        self.shared.hub().reset(revision);
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.shared.close();
    }
}
