//! Column family `meta`: what is known of the state as a whole.
//!
//! ```text
//! "format"      format version (4 bytes)
//! "applied"     index (8) ⧺ term (8) ⧺ revision (8) ⧺ compacted revision (8) ⧺ log id
//! "membership"  the log's encoding of the membership
//! "swept"       see mvcc/sweep.rs
//! "cluster"     see state/cluster.rs
//! "import"      see state/draft.rs; absent unless the content was imported
//! ```
//!
//! Integers are big-endian.

use bytes::Bytes;
use rocksdb::{DB, WriteBatch, WriteOptions};

use super::columns::Columns;
use super::{Applied, Error};
use crate::mvcc::sweep::Sweep;

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
const FORMAT: &[u8] = b"format";
const APPLIED: &[u8] = b"applied";
const MEMBERSHIP: &[u8] = b"membership";
pub(crate) const SWEPT: &[u8] = b"swept";

/// The revision of a store that nothing was written to, as in etcd.
pub(crate) const FIRST_REVISION: i64 = 1;

/// Where the state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub applied: Applied,
    pub revision: i64,
    /// Superseded versions below or at this revision are gone. 0 = never compacted.
    pub compacted: i64,
    pub sweep: Sweep,
}

impl Default for Position {
    fn default() -> Self {
        Self { applied: Applied::default(), revision: FIRST_REVISION, compacted: 0, sweep: Sweep::default() }
    }
}

/// Replaces `out` by the value of "applied".
fn encode(applied: &Applied, revision: i64, compacted: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + applied.log_id.len());
    out.extend_from_slice(&applied.index.to_be_bytes());
    out.extend_from_slice(&applied.term.to_be_bytes());
    out.extend_from_slice(&revision.to_be_bytes());
    out.extend_from_slice(&compacted.to_be_bytes());
    out.extend_from_slice(&applied.log_id);
    out
}

fn decode(stored: &[u8]) -> Result<(Applied, i64, i64), Error> {
    let corrupt = || Error::Corrupt { what: "the applied position" };
    let (index, rest) = stored.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (term, rest) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (revision, rest) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (compacted, log_id) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let applied = Applied {
        index: u64::from_be_bytes(*index),
        term: u64::from_be_bytes(*term),
        log_id: Bytes::copy_from_slice(log_id),
        membership: Bytes::new(),
    };
    Ok((applied, i64::from_be_bytes(*revision), i64::from_be_bytes(*compacted)))
}

/// Adds the position to the batch that takes the state there. `membership` says whether it changed.
pub(crate) fn put_applied(
    columns: &Columns<'_>,
    batch: &mut WriteBatch,
    applied: &Applied,
    membership: bool,
    revision: i64,
    compacted: i64,
) {
    batch.put_cf(columns.meta, APPLIED, encode(applied, revision, compacted));
    if membership {
        batch.put_cf(columns.meta, MEMBERSHIP, &applied.membership);
    }
}

/// Reads the position, after checking the format.
pub(crate) fn load(columns: &Columns<'_>) -> Result<Position, Error> {
    let get = |key| columns.db.get_cf(columns.meta, key).map_err(Error::rocks("reading the position"));
    check_format(get(FORMAT)?.as_deref())?;
    let mut position = Position::default();
    if let Some(stored) = get(APPLIED)? {
        (position.applied, position.revision, position.compacted) = decode(&stored)?;
    }
    position.applied.membership = get(MEMBERSHIP)?.map(Bytes::from).unwrap_or_default();
    if let Some(stored) = get(SWEPT)? {
        position.sweep = Sweep::decode(&stored)?;
    }
    Ok(position)
}

fn check_format(stored: Option<&[u8]>) -> Result<(), Error> {
    let Some(stored) = stored else {
        return Ok(());
    };
    let found = stored.try_into().map(u32::from_be_bytes).map_err(|_| Error::Corrupt { what: "the format version" })?;
    if found > FORMAT_VERSION {
        return Err(Error::NewerFormat { found: format!("version {found}"), supported: FORMAT_VERSION });
    }
    Ok(())
}

/// Marks a new database with the format. It is flushed, so that it is never without.
pub(crate) fn mark_format(db: &DB, columns: &Columns<'_>) -> Result<(), Error> {
    let known = db.get_cf(columns.meta, FORMAT).map_err(Error::rocks("reading the format"))?;
    if known.is_some() {
        return Ok(());
    }
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    db.put_cf_opt(columns.meta, FORMAT, FORMAT_VERSION.to_be_bytes(), &options)
        .and_then(|()| db.flush_cf(columns.meta))
        .map_err(Error::rocks("writing the format"))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;

    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let applied = Applied { index: 5, term: 2, log_id: Bytes::from_static(b"id"), membership: Bytes::new() };
        let stored = b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x03id";
        assert_eq!(encode(&applied, 9, 3), stored);
        assert_eq!(decode(stored).expect("just encoded"), (applied, 9, 3));
        assert!(decode(b"short").is_err());
    }

    #[test]
    fn a_newer_format_is_refused() {
        assert!(check_format(None).is_ok());
        assert!(check_format(Some(&1u32.to_be_bytes())).is_ok());
        let error = check_format(Some(&2u32.to_be_bytes())).expect_err("2 is newer");
        assert!(error.to_string().contains("newer format (version 2)"), "{error}");
    }

    #[test]
    fn a_position_of_any_bytes_is_refused_or_written_so() {
        let applied = Applied { index: 5, term: 2, log_id: Bytes::from_static(b"id"), membership: Bytes::new() };
        fuzz!(keelson_fuzzing::Bytes::new(vec![encode(&applied, 9, 3)], &[]), |stored| {
            let Ok((applied, revision, compacted)) = decode(stored) else { return false };
            assert_eq!(encode(&applied, revision, compacted), *stored);
            true
        });
    }
}
