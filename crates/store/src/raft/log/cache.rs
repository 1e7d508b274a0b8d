//! The newest entries in memory, so that replication and apply do not read the disk.

use std::collections::VecDeque;

use openraft::EntryPayload;

use crate::raft::types::Entry;

/// What an entry costs beside its batch.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A run of consecutive entries that ends with the log.
///
/// Bounded in bytes, except for entries that are not durable yet: those are nowhere else.
pub(super) struct Cache {
    entries: VecDeque<Entry>,
    /// The index of the first entry here, or of the next one to come.
    first: u64,
    bytes: usize,
    bytes_max: usize,
    /// Entries before this index are on disk.
    durable_end: u64,
    /// Where the log was truncated by writes that are not done yet. What rounds before them made durable behind there is gone.
    truncations: VecDeque<u64>,
}

impl Cache {
    /// An empty cache before the entry at `next`.
    pub(super) fn new(bytes_max: usize, next: u64) -> Self {
        let (entries, truncations) = (VecDeque::new(), VecDeque::new());
        Self { entries, first: next, bytes: 0, bytes_max, durable_end: next, truncations }
    }

    /// The first index that is here; everything after it is, too.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(next) = entries.first().map(|entry| entry.log_id.index) else { return };
        if next != self.end() {
            // After a snapshot the log goes on elsewhere.
            self.begin_anew(next);
        }
        for entry in entries {
            self.bytes += weight(entry);
            self.entries.push_back(entry.clone());
        }
        self.evict();
    }

    /// A round is done, with so many truncations in it; entries before `end` are on disk from now on.
    pub(super) fn durable(&mut self, truncations: usize, end: Option<u64>) {
        self.truncations.drain(..truncations.min(self.truncations.len()));
        if let Some(end) = end {
            self.durable_end = self.truncations.iter().fold(end, |end, from| end.min(*from));
            self.evict();
        }
    }

    fn begin_anew(&mut self, next: u64) {
        let truncations = std::mem::take(&mut self.truncations);
        *self = Self { truncations, ..Self::new(self.bytes_max, next) };
    }

    /// Drops the entries at `from` and after it.
    pub(super) fn truncate(&mut self, from: u64) {
        self.truncations.push_back(from);
        if from < self.first {
            self.begin_anew(from);
            return;
        }
        while self.end() > from {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= weight(&entry);
            }
        }
        self.durable_end = self.durable_end.min(from);
    }

    /// Drops the entries up to and including `upto`.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.first <= upto && !self.entries.is_empty() {
            self.pop_front();
        }
        if self.entries.is_empty() && self.first <= upto {
            self.begin_anew(upto + 1);
        }
    }

    /// The entries from `start` on, at most to `end`, until they weigh `bytes_max`, but at least one. None when the entry
    /// at `start` is not here.
    pub(super) fn read(&self, start: u64, end: u64, bytes_max: usize) -> Option<Vec<Entry>> {
        let skip = usize::try_from(start.checked_sub(self.first)?).ok()?;
        let take = usize::try_from(end.saturating_sub(start)).ok()?;
        let mut bytes = 0;
        let entries = self.entries.iter().skip(skip).take(take);
        Some(
            entries
                .take_while(|entry| {
                    let fits = bytes < bytes_max;
                    bytes += weight(entry);
                    fits
                })
                .cloned()
                .collect(),
        )
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max && self.first < self.durable_end && !self.entries.is_empty() {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= weight(&entry);
            self.first += 1;
        }
    }
}

/// About what an entry costs in memory.
pub(super) fn weight(entry: &Entry) -> usize {
    ENTRY_OVERHEAD_BYTES
        + match &entry.payload {
            EntryPayload::Normal(proposal) => proposal.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::types::{Proposal, log_id};

    fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
        let payload = || EntryPayload::Normal(Proposal(Bytes::from(vec![0; 1000])));
        range.map(|index| Entry { log_id: log_id(1, index), payload: payload() }).collect()
    }

    fn indexes(read: Option<Vec<Entry>>) -> Option<Vec<u64>> {
        Some(read?.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn only_durable_entries_are_evicted() {
        let mut cache = Cache::new(3000, 0);
        cache.append(&entries(0..10));
        assert_eq!(cache.first(), 0);
        cache.durable(0, Some(10));
        assert_eq!(indexes(cache.read(8, 10, usize::MAX)), Some(vec![8, 9]));
        assert_eq!(indexes(cache.read(7, 10, usize::MAX)), None);
    }

    #[test]
    fn what_was_durable_before_a_truncation_is_not_what_was_appended_after_it() {
        let mut cache = Cache::new(3000, 0);
        cache.append(&entries(0..10));
        cache.truncate(2);
        cache.append(&entries(2..10));
        // The round of the first ten ends only now.
        cache.durable(0, Some(10));
        assert_eq!(cache.first(), 2);
        cache.durable(1, Some(10));
        assert_eq!(cache.first(), 8);
    }

    #[test]
    fn reads_are_bounded_but_never_empty() {
        let mut cache = Cache::new(1 << 20, 5);
        cache.append(&entries(5..10));
        assert_eq!(indexes(cache.read(5, 10, 1)), Some(vec![5]));
        assert_eq!(indexes(cache.read(5, 10, 2000)), Some(vec![5, 6]));
        assert_eq!(indexes(cache.read(6, 7, usize::MAX)), Some(vec![6]));
        assert_eq!(indexes(cache.read(4, 7, usize::MAX)), None);
    }

    #[test]
    fn truncated_and_purged_entries_are_gone() {
        let mut cache = Cache::new(1 << 20, 0);
        cache.append(&entries(0..10));
        cache.durable(0, Some(10));
        cache.truncate(8);
        cache.append(&entries(8..9));
        cache.purge(6);
        assert_eq!(indexes(cache.read(7, 20, usize::MAX)), Some(vec![7, 8]));
        assert_eq!(indexes(cache.read(6, 20, usize::MAX)), None);
        cache.purge(20);
        assert_eq!(cache.first(), 21);
        cache.truncate(3);
        cache.append(&entries(3..4));
        assert_eq!(indexes(cache.read(3, 20, usize::MAX)), Some(vec![3]));
    }
}
