//! The newest version of keys that were written or looked up lately, so that a write need not seek for what it replaces.
//!
//! **Invariant**: what is found here is what the database would give. Only the applying thread looks, and only what was
//! committed is noted.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::value::Header;

/// What a key and its place in the cache take besides the key's bytes.
const ENTRY_BYTES: u64 = 128;
/// A guess for the cache's tables, which grow and shrink with what is kept.
const KEY_BYTES_GUESS: u64 = 64;

/// Headers by key, within a bound of memory. A tombstone stands for a key that is gone or never was.
pub(crate) struct Latest {
    headers: Cache<Bytes, (i64, Header), Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Bytes, (i64, Header)> for Weight {
    fn weight(&self, key: &Bytes, _: &(i64, Header)) -> u64 {
        ENTRY_BYTES + key.len() as u64
    }
}

impl Latest {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let entries = usize::try_from(bytes_max / (ENTRY_BYTES + KEY_BYTES_GUESS)).unwrap_or(usize::MAX);
        Self { headers: Cache::with_weighter(entries, bytes_max, Weight) }
    }

    pub(crate) fn get(&self, key: &Bytes) -> Option<(i64, Header)> {
        self.headers.get(key).copied()
    }

    pub(crate) fn note(&mut self, key: &Bytes, revision: i64, header: Header) {
        // A key that came with a larger request must not keep all of that alive.
        self.headers.insert(Bytes::copy_from_slice(key), (revision, header));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_newest_counts() {
        let mut latest = Latest::new(100 * (ENTRY_BYTES as usize + 3));
        let key = |number: usize| Bytes::from(format!("{number:03}"));
        for number in 0..1000 {
            latest.note(&key(number), 1, Header::DELETED);
        }
        assert!((0..1000).filter(|number| latest.get(&key(*number)).is_some()).count() <= 100);
        latest.note(&key(5), 7, Header { version: 2, ..Header::default() });
        latest.note(&key(5), 8, Header { version: 3, ..Header::default() });
        assert_eq!(latest.get(&key(5)), Some((8, Header { version: 3, ..Header::default() })));
    }
}
