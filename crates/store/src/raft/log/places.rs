//! Where on disk each entry is.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use super::record::Seed;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its segment.
    pub(super) segment: u64,
    /// From the beginning of the segment.
    pub(super) offset: u64,
    /// Of the whole record.
    pub(super) length: usize,
}

/// A segment's file, to read from.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) file: File,
    pub(super) seed: Seed,
}

/// The entries of a log, one behind the other, and the files that they are in.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The index of the first entry, or of the next one when there is none.
    first: u64,
    places: VecDeque<Place>,
    /// Of all the records.
    bytes: u64,
    segments: BTreeMap<u64, Arc<Readable>>,
}

impl Places {
    pub(super) fn add_segment(&mut self, number: u64, segment: Arc<Readable>) {
        self.segments.insert(number, segment);
    }

    /// The entry at `index` is at `place` now; what was there and behind it is gone.
    pub(super) fn append(&mut self, index: u64, place: Place) {
        if index < self.first || index > self.end() {
            // Behind a snapshot the log goes on elsewhere.
            self.places.clear();
            self.bytes = 0;
            self.first = index;
        }
        self.truncate(index);
        self.places.push_back(place);
        self.bytes += place.length as u64;
    }

    /// The entries at `from` and behind it are gone.
    pub(super) fn truncate(&mut self, from: u64) {
        let left = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.places.len());
        self.bytes -= self.places.drain(left..).map(|place| place.length as u64).sum::<u64>();
        self.first = self.first.min(from);
    }

    /// The entries up to and including `upto` are gone.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.first <= upto
            && let Some(place) = self.places.pop_front()
        {
            self.bytes -= place.length as u64;
            self.first += 1;
        }
        self.first = self.first.max(upto.saturating_add(1));
    }

    /// The index of the first entry, or of the next one when there is none.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index behind the last entry.
    pub(super) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// How many bytes the records take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The index of the last entry that must go so that the others have no more than `bytes` together; none when they have not.
    pub(super) fn excess(&self, bytes: u64) -> Option<u64> {
        let mut left = self.bytes;
        let goes = self.places.iter().take_while(|place| {
            let goes = left > bytes;
            left -= place.length as u64;
            goes
        });
        (goes.count() as u64).checked_sub(1).map(|offset| self.first + offset)
    }

    /// Where the entry at `index` is, and what to read it from.
    pub(super) fn get(&self, index: u64) -> Option<(Place, Arc<Readable>)> {
        let place = *self.places.get(usize::try_from(index.checked_sub(self.first)?).ok()?)?;
        Some((place, Arc::clone(self.segments.get(&place.segment)?)))
    }

    /// The oldest segment, when nothing of it is needed any more. The newest is needed always.
    pub(super) fn unneeded(&self) -> Option<u64> {
        let (oldest, newest) = (*self.segments.first_key_value()?.0, *self.segments.last_key_value()?.0);
        let needed = self.places.front().map_or(newest, |place| place.segment);
        (oldest < needed).then_some(oldest)
    }

    /// Forgets a segment. Closing its file, which frees the disk's space, is for the caller.
    #[must_use]
    pub(super) fn remove_segment(&mut self, number: u64) -> Option<Arc<Readable>> {
        self.segments.remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log::record::segment_header;

    fn places(indexes: std::ops::Range<u64>, per_segment: u64) -> Places {
        let mut places = Places::default();
        for index in indexes {
            let segment = index / per_segment;
            let file = tempfile::tempfile().expect("a file");
            places.add_segment(segment, Arc::new(Readable { file, seed: segment_header(segment, 0).1 }));
            places.append(index, at(segment, index));
        }
        places
    }

    fn at(segment: u64, offset: u64) -> Place {
        Place { segment, offset, length: 8 }
    }

    fn offset(places: &Places, index: u64) -> Option<u64> {
        places.get(index).map(|(place, _)| place.offset)
    }

    #[test]
    fn entries_are_found_until_they_are_truncated_or_purged() {
        let mut places = places(5..10, 100);
        assert_eq!((places.first(), places.end()), (5, 10));
        assert_eq!([4, 5, 9, 10].map(|index| offset(&places, index)), [None, Some(5), Some(9), None]);
        places.truncate(8);
        places.purge(5);
        assert_eq!((places.first(), places.end()), (6, 8));
        places.append(7, at(0, 70));
        assert_eq!((offset(&places, 7), places.end()), (Some(70), 8));
        places.truncate(2);
        assert_eq!((places.first(), places.end()), (2, 2));
        places.purge(20);
        assert_eq!((places.first(), places.end()), (21, 21));
        places.append(30, at(0, 30));
        assert_eq!((places.first(), places.end()), (30, 31));
    }

    #[test]
    fn the_oldest_entries_are_in_excess_of_a_bound_in_bytes() {
        let mut places = places(5..10, 100);
        let excess = |places: &Places, entries: u64| places.excess(8 * entries);
        assert_eq!([5, 4, 3, 0].map(|entries| excess(&places, entries)), [None, Some(5), Some(6), Some(9)]);
        assert_eq!(places.excess(8 * 4 - 1), Some(6), "a part of an entry does not stay");
        places.purge(5);
        assert_eq!([4, 3].map(|entries| excess(&places, entries)), [None, Some(6)]);
        places.truncate(8);
        places.append(7, at(0, 70));
        assert_eq!([2, 1, 0].map(|entries| excess(&places, entries)), [None, Some(6), Some(7)]);
        places.append(30, at(0, 30));
        assert_eq!([1, 0].map(|entries| excess(&places, entries)), [None, Some(30)]);
        places.truncate(0);
        assert_eq!(places.excess(0), None);
    }

    #[test]
    fn a_segment_is_needed_while_it_or_an_older_one_has_an_entry() {
        let mut places = places(0..30, 10);
        assert_eq!(places.unneeded(), None);
        places.purge(8);
        assert_eq!(places.unneeded(), None);
        places.purge(9);
        assert_eq!(places.unneeded(), Some(0));
        drop(places.remove_segment(0));
        assert_eq!(places.unneeded(), None);
        places.purge(100);
        assert_eq!(places.unneeded(), Some(1));
        drop(places.remove_segment(1));
        assert_eq!(places.unneeded(), None, "the newest one stays");
    }
}
