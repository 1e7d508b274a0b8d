//! How many keys lie behind the pages of lists that were read lately.
//!
//! A page says how many keys there are from its start on. If each page counted them, the time for a whole list would grow with
//! the square of its length; but at one revision nothing changes, so that behind a page lies what the page said without its own
//! keys.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Memory for what is known.
const BYTES_MAX: u64 = 1 << 20;
/// What one place takes beside its keys.
const ENTRY_BYTES: u64 = 192;
/// A key that is longer is counted each time: few such places would push all others out.
const KEY_BYTES_MAX: usize = 8 << 10;

/// Where a list goes on: all keys from `key` to `range_end` at `revision`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) revision: i64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Place, i64> for Weight {
    fn weight(&self, place: &Place, _: &i64) -> u64 {
        ENTRY_BYTES + (place.key.len() + place.range_end.len()) as u64
    }
}

/// The counts that are known, within a bound of memory.
#[derive(Debug)]
pub(super) struct PageCounts(Cache<Place, i64, Weight>);

impl PageCounts {
    pub(super) fn new() -> Self {
        let entries = usize::try_from(BYTES_MAX / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(entries, BYTES_MAX, Weight))
    }

    pub(super) fn get(&self, place: &Place) -> Option<i64> {
        self.0.get(place)
    }

    pub(super) fn note(&self, place: Place, count: i64) {
        if place.key.len() + place.range_end.len() <= KEY_BYTES_MAX {
            self.0.insert(place, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_long_keys_are_not_kept() {
        let counts = PageCounts::new();
        let place = |key: Vec<u8>| Place { key: key.into(), range_end: Bytes::from_static(b"z"), revision: 7 };
        for number in 0..100_000_u32 {
            counts.note(place(number.to_be_bytes().to_vec()), i64::from(number));
        }
        assert!(counts.0.weight() <= BYTES_MAX);
        let known = (0..100_000_u32).filter(|number| counts.get(&place(number.to_be_bytes().to_vec())).is_some());
        assert!(known.count() > 1_000);
        counts.note(place(vec![0; KEY_BYTES_MAX]), 1);
        assert_eq!(counts.get(&place(vec![0; KEY_BYTES_MAX])), None);
    }
}
