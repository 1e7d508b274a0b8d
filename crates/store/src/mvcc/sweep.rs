//! Removes tombstones, and the part of `rev`, that lie below the compacted revision.
//!
//! A compaction filter cannot tell whether older versions of a key lie beneath a tombstone, in files that it does not
//! see. The sweep can: `rev` lists the deletions of each revision, so it visits exactly those keys and removes the
//! tombstone together with everything older, in one batch. It runs in small steps between applied slices.
//!
//! ```text
//! meta "swept"   next place in rev (12 bytes) ⧺ revision below which rev is gone (8 bytes, big-endian)
//! ```
//!
//! Changes at the compacted revision itself stay: a watch may start there.

use rocksdb::{ReadOptions, WriteBatch};

use super::cursor::Cursor;
use super::key;
use super::value::{Kind, decode_rev};
use crate::state::Error;
use crate::state::columns::Columns;

/// Changes looked at in one step, so that a step takes well under a millisecond when they are puts.
const CHANGES_PER_STEP: usize = 512;
/// Tombstones removed in one step; each costs a seek.
const TOMBSTONES_PER_STEP: usize = 64;
/// Versions beneath a tombstone that are deleted one by one; more are deleted as a range, which costs readers more.
const POINT_DELETES_MAX: usize = 64;

/// Where the sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// The next key of `rev` to look at.
    next: [u8; 12],
    /// `rev` holds nothing below this revision.
    trimmed: i64,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { next: key::rev(0, 0), trimmed: 0 }
    }
}

impl Sweep {
    /// Nothing is left to do below `floor`.
    pub(crate) fn done(floor: i64) -> Self {
        Self { next: key::rev(floor, 0), trimmed: floor }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.next.to_vec();
        out.extend_from_slice(&self.trimmed.to_be_bytes());
        out
    }

    pub(crate) fn decode(stored: &[u8]) -> Result<Self, Error> {
        let corrupt = || Error::Corrupt { what: "the place of the sweep" };
        let (next, trimmed) = stored.split_first_chunk::<12>().ok_or_else(corrupt)?;
        let trimmed = i64::from_be_bytes(trimmed.try_into().map_err(|_| corrupt())?);
        Ok(Self { next: *next, trimmed })
    }

    /// Whether there is anything to do below `floor`.
    pub(crate) fn pending(&self, floor: i64) -> bool {
        self.trimmed < floor
    }

    /// Adds the next step below `floor` to `batch`, and the place after it. `floor` is as for the compaction filter.
    pub(crate) fn step(&mut self, columns: &Columns<'_>, floor: i64, batch: &mut WriteBatch) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key::rev(floor, 0));
        options.fill_cache(false);
        let mut changes = columns.db.raw_iterator_cf_opt(columns.rev, options);
        let mut versions = Cursor::points(columns.db, columns.data);
        let (mut looked_at, mut removed) = (0, 0);
        changes.seek(self.next);
        loop {
            let Some((found, stored)) = changes.item() else {
                changes.status().map_err(Error::rocks("sweeping history"))?;
                batch.delete_range_cf(columns.rev, key::rev(self.trimmed, 0), key::rev(floor, 0));
                *self = Self::done(floor);
                break;
            };
            let (revision, sub) = key::split_rev(found)?;
            if looked_at == CHANGES_PER_STEP || removed == TOMBSTONES_PER_STEP {
                self.next = key::rev(revision, sub);
                break;
            }
            looked_at += 1;
            let (kind, user_key) = decode_rev(stored)?;
            if kind == Kind::Delete {
                remove(columns, &mut versions, user_key, revision, batch)?;
                removed += 1;
            }
            changes.next();
        }
        batch.put_cf(columns.meta, crate::state::meta::SWEPT, self.encode());
        Ok(())
    }
}

/// Deletes the tombstone of `user_key` at `revision` with all that lies beneath it.
fn remove(
    columns: &Columns<'_>,
    versions: &mut Cursor<'_>,
    user_key: &[u8],
    revision: i64,
    batch: &mut WriteBatch,
) -> Result<(), Error> {
    let mut found = versions.find(user_key, revision)?;
    let prefix = versions.prefix().to_vec();
    for _ in 0..POINT_DELETES_MAX {
        let Some((older, _)) = found else {
            return Ok(());
        };
        let mut data_key = prefix.clone();
        key::push_revision(&mut data_key, older);
        batch.delete_cf(columns.data, data_key);
        found = versions.older()?;
    }
    if let Some((older, _)) = found {
        let mut from = prefix.clone();
        key::push_revision(&mut from, older);
        batch.delete_range_cf(columns.data, from, key::after(prefix));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let sweep = Sweep { next: key::rev(7, 1), trimmed: 5 };
        let stored = b"\0\0\0\0\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\x05";
        assert_eq!(sweep.encode(), stored);
        assert_eq!(Sweep::decode(stored).expect("just encoded"), sweep);
        assert!(Sweep::decode(b"short").is_err());
    }
}
