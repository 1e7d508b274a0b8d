//! The files of a log as its writer sees them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message as _;

use super::error::Error;
use super::format::{self, GateState};
use super::places::{Place, Places};
use super::record::{Kind, Round};
use super::replay::{Kept, Replayed};
use super::segment::{self, Newest};
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, Vote};

/// Segments removed after one round, since the next one waits.
const REMOVED_MAX: usize = 4;

/// What readers must know once a round is durable.
#[derive(Debug)]
enum Change {
    Append { index: u64, place: Place },
    Truncate { from: u64 },
    Purge { upto: u64 },
}

/// The newest segment, and the round that is to be written to it.
#[derive(Debug)]
pub(super) struct Files {
    newest: Newest,
    /// As the round leaves it.
    kept: Kept,
    /// The number of the last round that was written.
    last_round: u64,
    round: Round,
    changes: Vec<Change>,
    /// There may be segments of which nothing is needed.
    removes: bool,
    /// Why the round cannot be written.
    failed: Option<Error>,
}

impl Files {
    /// Those that were read at the start, and where entries are in them.
    pub(super) fn new(replayed: Replayed) -> (Self, Places) {
        let Replayed { kept, places, newest, round: last_round } = replayed;
        let (round, changes) = (Round::default(), Vec::new());
        // A start takes the first segment for lost when nothing was purged, be all that was in it truncated or not.
        let removes = kept.purged.is_some();
        (Self { newest, kept, last_round, round, changes, removes, failed: None }, places)
    }

    /// Begins a round, in the next segment when this one is full.
    pub(super) fn begin(&mut self, places: &Mutex<Places>) {
        if self.newest.is_full()
            && let Err(error) = self.next_segment(places)
        {
            self.failed = Some(error);
        }
        self.round.begin(self.newest.readable().seed, self.last_round + 1);
        self.changes.clear();
    }

    fn next_segment(&mut self, places: &Mutex<Places>) -> Result<(), Error> {
        self.newest = self.newest.next(self.last_round + 1, &self.kept)?;
        self.last_round += u64::from(self.kept != Kept::default());
        places.lock().add_segment(self.newest.number(), Arc::clone(self.newest.readable()));
        Ok(())
    }

    pub(super) fn append(&mut self, entry: &Entry) {
        let id = entry.log_id;
        let body = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(&format::encode_entry_id(&id));
            if let Err(error) = codec::from_entry(entry).encode(bytes) {
                // A vector grows.
                unreachable!("{error}");
            }
        };
        if let Some((begin, length)) = self.add(Kind::Entry, body) {
            let place = Place { segment: self.newest.number(), offset: self.newest.end() + begin as u64, length };
            self.changes.push(Change::Append { index: id.index, place });
        }
    }

    pub(super) fn vote(&mut self, vote: Vote) {
        self.kept.vote = Some(vote);
        self.add(Kind::Vote, |bytes| bytes.extend_from_slice(&format::encode_vote(&vote)));
    }

    pub(super) fn truncate(&mut self, from: u64) {
        self.add(Kind::Truncate, |bytes| bytes.extend_from_slice(&format::encode_truncate(from)));
        self.changes.push(Change::Truncate { from });
    }

    pub(super) fn purge(&mut self, upto: LogId) {
        self.kept.purged = self.kept.purged.max(Some(upto));
        self.add(Kind::Purge, |bytes| bytes.extend_from_slice(&format::encode_purge(&upto)));
        self.changes.push(Change::Purge { upto: upto.index });
        self.removes = true;
    }

    pub(super) fn gate(&mut self, state: GateState) {
        self.kept.gate = Some(state);
        self.add(Kind::Gate, |bytes| bytes.extend_from_slice(&format::encode_gate(state)));
    }

    fn add(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Option<(usize, usize)> {
        let added = self.round.add(kind, body);
        if added.is_none() {
            self.failed = Some(Error::TooLong);
        }
        added
    }

    /// How many bytes the round has so far.
    pub(super) fn round_bytes(&self) -> usize {
        self.round.len()
    }

    /// Where the round will be: in which file, and its first byte and the one behind it.
    pub(super) fn target(&self) -> (PathBuf, Range<u64>) {
        let begin = self.newest.end();
        (self.newest.path(), begin..begin + self.round.len() as u64)
    }

    /// Makes the round durable.
    ///
    /// # Errors
    /// When the disk fails. Nothing can be written any more then.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.round.len() > 0 {
            self.newest.write(self.round.finish())?;
            self.last_round = self.round.number();
        }
        Ok(())
    }

    /// Tells readers what the round has changed.
    pub(super) fn publish(&mut self, places: &Mutex<Places>) {
        let mut places = places.lock();
        for change in self.changes.drain(..) {
            match change {
                Change::Append { index, place } => places.append(index, place),
                Change::Truncate { from } => places.truncate(from),
                Change::Purge { upto } => places.purge(upto),
            }
        }
    }

    /// Removes segments of which nothing is needed any more, some at a time. What cannot be removed is tried again after the
    /// next purge.
    pub(super) fn remove_unneeded(&mut self, places: &Mutex<Places>) {
        for _ in 0..REMOVED_MAX {
            if !self.removes {
                return;
            }
            let unneeded = places.lock().unneeded();
            let Some(number) = unneeded else {
                self.removes = false;
                return;
            };
            if let Err(error) = segment::remove(self.newest.folder(), number) {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a part of the log that is not needed stays on disk");
                self.removes = false;
                return;
            }
            // Closed when the lock is free again: readers wait for that.
            let removed = places.lock().remove_segment(number);
            drop(removed);
        }
    }
}
