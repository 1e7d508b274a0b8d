//! Reading entries: from the cache where it has them, else from the segments.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use futures::Stream;
use openraft::EntryPayload;
use openraft::storage::RaftLogReader;

use super::cache::weight;
use super::error::Error;
use super::places::{Place, Readable};
use super::record::Record;
use super::{Log, format};
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, Proposal, TypeConfig, Vote};

/// What one read hands out: a fraction of a second of writes.
const READ_BYTES_MAX: usize = 4 << 20;

/// Reads the entry that is at `place` of its segment.
pub(super) fn read_entry(folder: &Path, place: Place, segment: &Readable, index: u64) -> Result<Entry, Error> {
    let path = || super::segment::path(folder, place.segment);
    let mut bytes = vec![0; place.length];
    segment.file.read_exact_at(&mut bytes, place.offset).map_err(|error| Error::io("read", &path())(error))?;
    let bytes = Bytes::from(bytes);
    let record = Record::read(&bytes, segment.seed).and_then(|record| format::split_entry(record.body));
    let changed = || Error::damaged_file(path(), "an entry in it is not what was written");
    let (id, entry) = record.filter(|(id, _)| id.index == index).ok_or_else(changed)?;
    let entry = codec::decode_entry(bytes.slice_ref(entry))?;
    if entry.log_id == id { Ok(entry) } else { Err(changed()) }
}

impl Log {
    /// Entries from `start` on, before `end`, as many as [`READ_BYTES_MAX`] allows but at least one, if there are any. None when
    /// `start` was purged: a replication that the leader has given up for a snapshot may still ask for it, and must not be
    /// handed others as if they followed.
    fn read(&self, start: u64, end: u64) -> Result<Vec<Entry>, Error> {
        if start >= end {
            return Ok(Vec::new());
        }
        let cached_from = {
            let cache = self.shared.cache.lock();
            if let Some(entries) = cache.read(start, end, READ_BYTES_MAX) {
                return Ok(entries);
            }
            cache.first()
        };
        self.read_stored(start, end.min(cached_from))
    }

    /// As [`Self::read`], of entries that were not in the cache a moment ago.
    pub(super) fn read_stored(&self, start: u64, end: u64) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for index in start..end {
            let found = self.shared.places.lock().get(index);
            let Some((place, segment)) = found else {
                // Perhaps just now.
                if self.is_purged(index) || self.is_truncated(index) {
                    break;
                }
                return Err(Error::Damaged { what: format!("entry {index} is missing") });
            };
            let entry = read_entry(self.shared.folder.path(), place, &segment, index)?;
            bytes += weight(&entry);
            entries.push(entry);
            if bytes >= READ_BYTES_MAX {
                break;
            }
        }
        Ok(entries)
    }

    /// Hands out the proposals from `start` on with their indexes, whether or not they are committed. Blocks.
    ///
    /// # Errors
    /// When they cannot be read, or `take` cannot.
    pub(crate) fn proposals(
        &self,
        start: u64,
        mut take: impl FnMut(u64, Bytes) -> Result<(), codec::Error>,
    ) -> Result<(), Error> {
        let (mut start, end) = self.bounds(&(start..));
        loop {
            let part = self.read(start, end)?;
            let Some(last) = part.last() else { return Ok(()) };
            start = last.log_id.index + 1;
            for entry in part {
                if let EntryPayload::Normal(Proposal(proposal)) = entry.payload {
                    take(entry.log_id.index, proposal)?;
                }
            }
        }
    }

    /// Whether the entry after `prev` was purged.
    pub(crate) fn is_purged_after(&self, prev: Option<LogId>) -> bool {
        self.is_purged(prev.map_or(0, |prev| prev.index + 1))
    }

    fn is_purged(&self, index: u64) -> bool {
        self.shared.ends.lock().kept.purged.is_some_and(|purged| index <= purged.index)
    }

    /// Whether what was at `index` gave way to what a later leader has there. A member that led before may still read for those
    /// that it replicated to. The cache is cut off before the disk is, and begins there if it began behind.
    fn is_truncated(&self, index: u64) -> bool {
        self.shared.cache.lock().first() <= index
    }

    /// The bounds of `range` as start and end, the end exclusive and within the log.
    fn bounds(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let log_end = self.last().map_or(0, |last| last.index + 1);
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        (start, end.min(log_end))
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (mut start, end) = self.bounds(&range);
        let mut entries = Vec::new();
        while start < end {
            let part = self.read(start, end)?;
            let Some(last) = part.last() else { break };
            start = last.log_id.index + 1;
            entries.extend(part);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.ends.lock().kept.vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.read(start, end)?)
    }

    /// Part by part, so that a long backlog is never in memory at once.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = self.bounds(&range);
        let log = self.clone();
        let parts = futures::stream::unfold(start, move |start| {
            let part = log.read(start, end);
            async move {
                match part {
                    Ok(entries) => {
                        let next = entries.last()?.log_id.index + 1;
                        Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), next))
                    }
                    Err(error) => Some((vec![Err(io::Error::from(error))], u64::MAX)),
                }
            }
        });
        Box::pin(futures::StreamExt::flat_map(parts, futures::stream::iter))
    }
}
