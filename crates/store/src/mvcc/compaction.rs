//! Drops superseded versions while RocksDB rewrites its files anyway.
//!
//! A filter sees some files, in the order of their keys: of each key, some versions, newest first. It drops a version
//! only after having seen a newer one of the same key that is itself at or below the floor: what it drops can be read
//! at no revision at or above the floor, and the version that hides it stays. It never drops a tombstone that is the
//! newest at the floor, since older versions may lie in files that it does not see; those are the
//! [sweep](super::sweep)'s.
//!
//! **Invariant:** the floor is a compacted revision that is *durable*. A higher one could drop versions that a restart,
//! falling back to what was flushed, still has to show.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use super::key;

/// Makes a filter for each compaction of column family `data`.
pub(crate) struct Factory {
    pub floor: Arc<AtomicI64>,
}

impl CompactionFilterFactory for Factory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        Filter::new(self.floor.load(Ordering::Acquire))
    }

    fn name(&self) -> &CStr {
        c"keelson.superseded_versions"
    }
}

/// Filters one compaction.
pub(crate) struct Filter {
    floor: i64,
    /// Prefix of the key whose versions are passing.
    prefix: Vec<u8>,
    /// A version of that key at or below the floor has passed.
    hidden: bool,
}

impl Filter {
    fn new(floor: i64) -> Self {
        Self { floor, prefix: Vec::new(), hidden: false }
    }

    fn superseded(&mut self, data_key: &[u8]) -> bool {
        // A key that cannot be read is kept: damage is reported by whoever reads it.
        let Ok((prefix, revision)) = key::split(data_key) else {
            return false;
        };
        if self.prefix != prefix {
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
            self.hidden = false;
        }
        let superseded = self.hidden && revision <= self.floor;
        self.hidden |= revision <= self.floor;
        superseded
    }
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> CompactionDecision {
        if self.superseded(key) { CompactionDecision::Remove } else { CompactionDecision::Keep }
    }

    fn name(&self) -> &CStr {
        c"keelson.superseded_versions"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_version_at_or_below_the_floor_hides_is_dropped() {
        let mut filter = Filter::new(5);
        let mut kept = Vec::new();
        for (user_key, revisions) in [("a", &[9i64, 6, 5, 4, 2][..]), ("b", &[3, 2]), ("b\0", &[2]), ("c", &[8, 7])] {
            for revision in revisions {
                let mut data_key = key::prefix(user_key.as_bytes());
                key::push_revision(&mut data_key, *revision);
                if !filter.superseded(&data_key) {
                    kept.push((user_key, *revision));
                }
            }
        }
        assert_eq!(kept, [("a", 9), ("a", 6), ("a", 5), ("b", 3), ("b\0", 2), ("c", 8), ("c", 7)]);
    }
}
