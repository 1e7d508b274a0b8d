//! The replicated table of leases, in memory and on disk, and the keys attached to each, on disk only.
//!
//! ```text
//! lease       id (8 bytes, big-endian) → ttl in seconds (8) ⧺ remaining seconds (8), big-endian
//! lease_keys  id (8 bytes, big-endian) ⧺ user key → nothing
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use rocksdb::{IteratorMode, ReadOptions};

use super::Lease;
use crate::state::Error;
use crate::state::columns::Columns;

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Table {
    leases: BTreeMap<i64, Lease>,
    version: u64,
}

/// Leases that a slice of entries granted, changed (Some) or removed (None).
pub(crate) type LeaseChanges = BTreeMap<i64, Option<Lease>>;

impl Table {
    pub(crate) fn load(columns: &Columns<'_>) -> Result<Self, Error> {
        let mut leases = BTreeMap::new();
        for item in columns.db.iterator_cf(columns.lease, IteratorMode::Start) {
            let (key, value) = item.map_err(Error::rocks("reading leases"))?;
            let lease = decode(&key, &value)?;
            leases.insert(lease.id, lease);
        }
        // A table that replaces another is a change, too.
        let version = leases.len() as u64 ^ fresh_version();
        Ok(Self { leases, version })
    }

    pub(crate) fn get(&self, id: i64) -> Option<Lease> {
        self.leases.get(&id).copied()
    }

    pub(crate) fn all(&self) -> Vec<Lease> {
        self.leases.values().copied().collect()
    }

    /// Differs after each change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn change(&mut self, changes: LeaseChanges) {
        if changes.is_empty() {
            return;
        }
        self.version = fresh_version();
        for (id, lease) in changes {
            match lease {
                Some(lease) => self.leases.insert(id, lease),
                None => self.leases.remove(&id),
            };
        }
    }
}

/// A number that no table of this process had before.
fn fresh_version() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Key of column family `lease`.
pub(crate) fn key(id: i64) -> [u8; 8] {
    id.to_be_bytes()
}

/// Value of column family `lease`.
pub(crate) fn value(lease: &Lease) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&lease.ttl_seconds.to_be_bytes());
    out[8..].copy_from_slice(&lease.remaining_seconds.to_be_bytes());
    out
}

fn decode(key: &[u8], value: &[u8]) -> Result<Lease, Error> {
    let integer = |bytes: &[u8]| {
        bytes.try_into().map(i64::from_be_bytes).map_err(|_| Error::Corrupt { what: "column family lease" })
    };
    let (ttl, remaining) = value.split_at_checked(8).ok_or(Error::Corrupt { what: "column family lease" })?;
    Ok(Lease { id: integer(key)?, ttl_seconds: integer(ttl)?, remaining_seconds: integer(remaining)? })
}

/// Key of column family `lease_keys`.
pub(crate) fn attached(id: i64, user_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + user_key.len());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(user_key);
    out
}

/// The keys attached to a lease in the database, in order.
pub(crate) fn keys(columns: &Columns<'_>, id: i64) -> Result<Vec<Bytes>, Error> {
    let mut iterator = columns.db.raw_iterator_cf_opt(columns.lease_keys, ReadOptions::default());
    let mut out = Vec::new();
    iterator.seek(key(id));
    while let Some(user_key) = iterator.key().and_then(|found| found.strip_prefix(&key(id))) {
        out.push(Bytes::copy_from_slice(user_key));
        iterator.next();
    }
    iterator.status().map_err(Error::rocks("reading the keys of a lease"))?;
    Ok(out)
}

/// Whether a key from `from` up to `to`, or up to the last one without it, is attached to a lease in the database and not
/// among those to be passed over. Finds that out by one lookup and as many steps as there are keys to pass over.
pub(crate) fn has_key(
    columns: &Columns<'_>,
    id: i64,
    from: &[u8],
    to: Option<&[u8]>,
    passed_over: impl Fn(&[u8]) -> bool,
) -> Result<bool, Error> {
    let mut options = ReadOptions::default();
    if let Some(to) = to {
        options.set_iterate_upper_bound(attached(id, to));
    }
    let mut iterator = columns.db.raw_iterator_cf_opt(columns.lease_keys, options);
    iterator.seek(attached(id, from));
    while let Some(user_key) = iterator.key().and_then(|found| found.strip_prefix(&key(id))) {
        if !passed_over(user_key) {
            return Ok(true);
        }
        iterator.next();
    }
    iterator.status().map_err(Error::rocks("reading the keys of a lease"))?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_pinned() {
        let lease = Lease { id: 0x0102, ttl_seconds: 60, remaining_seconds: 7 };
        assert_eq!(key(lease.id), *b"\0\0\0\0\0\0\x01\x02");
        assert_eq!(value(&lease), *b"\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0\x07");
        assert_eq!(decode(&key(lease.id), &value(&lease)).expect("just encoded"), lease);
        assert_eq!(attached(3, b"k"), b"\0\0\0\0\0\0\0\x03k");
        assert!(decode(b"short", b"").is_err());
    }
}
