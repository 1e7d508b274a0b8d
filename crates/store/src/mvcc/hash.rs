//! The checksum of the logical content at a revision: equal on all members, whatever their files.
//!
//! CRC32C over the live pairs in the order of their keys, each as key length, key, create revision, mod revision,
//! version, lease, value length, value; integers are 8 bytes, big-endian.

use rocksdb::{ColumnFamily, DB, IteratorMode, ReadOptions};

use super::scan::Scan;
use super::value::Header;
use crate::state::Error;

/// Bytes between two looks at whether to go on: some milliseconds, whether the pairs are many or large.
const BYTES_AT_ONCE: usize = 1 << 20;
/// What a pair costs beside its key and value.
const PAIR_OVERHEAD_BYTES: usize = 64;

/// Sums up all that `scan` passes.
pub(crate) fn of(scan: Scan<'_>) -> Result<u32, Error> {
    of_while(scan, || true)
}

/// As [`of`], but [`Error::Closed`] as soon as it is not to `go_on`.
pub(crate) fn of_while(mut scan: Scan<'_>, go_on: impl Fn() -> bool) -> Result<u32, Error> {
    // The first look is before anything is read.
    let (mut sum, mut unlooked) = (0, BYTES_AT_ONCE);
    while scan.advance()? {
        if unlooked >= BYTES_AT_ONCE {
            if !go_on() {
                return Err(Error::Closed);
            }
            unlooked = 0;
        }
        let (mod_revision, header) = scan.version();
        let value = scan.value()?;
        unlooked += PAIR_OVERHEAD_BYTES + scan.key().len() + value.len();
        sum = append(sum, scan.key(), mod_revision, header, value);
    }
    Ok(sum)
}

/// The sum of some pairs, and of one more that follows them. It begins with 0.
pub(crate) fn append(mut sum: u32, key: &[u8], mod_revision: i64, header: Header, value: &[u8]) -> u32 {
    sum = crc32c::crc32c_append(sum, &(key.len() as u64).to_be_bytes());
    sum = crc32c::crc32c_append(sum, key);
    for integer in [header.create_revision, mod_revision, header.version, header.lease, value.len() as i64] {
        sum = crc32c::crc32c_append(sum, &integer.to_be_bytes());
    }
    crc32c::crc32c_append(sum, value)
}

/// Sums up all rows of `families` as they are stored, at one moment.
pub(crate) fn of_rows(db: &DB, families: &[&ColumnFamily]) -> Result<u32, Error> {
    let snapshot = db.snapshot();
    let mut sum = 0;
    for family in families {
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        options.fill_cache(false);
        for row in db.iterator_cf_opt(family, options, IteratorMode::Start) {
            let (key, value) = row.map_err(Error::rocks("reading all rows"))?;
            for part in [&key, &value] {
                sum = crc32c::crc32c_append(sum, &(part.len() as u64).to_be_bytes());
                sum = crc32c::crc32c_append(sum, part);
            }
        }
    }
    Ok(sum)
}
