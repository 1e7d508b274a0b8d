//! Opening the log's database, and making sure that it is this member's.

use std::path::Path;

use rocksdb::{DB, DBCompressionType, DBRecoveryMode, ErrorKind, Options, ReadOptions, WriteBatch, WriteOptions};

use super::error::Error;
use super::{format, torn};
use crate::raft::types::LogId;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// See [`crate::Options::cluster_id`].
    pub(crate) cluster_id: u64,
    /// See [`crate::Options::member_id`].
    pub(crate) member_id: u64,
}

/// Memory for entries that are not in sorted files yet; three times as much at most.
const MEMTABLE_BYTES: usize = 16 << 20;
/// The log is read from disk rarely: by a restart, and by a follower that lags behind the cache.
const OPEN_FILES_MAX: i32 = 64;

/// Makes a log in `path` that begins after `purged`.
///
/// # Errors
/// When it cannot be written, or there is one.
pub(crate) fn found(path: &Path, identity: Identity, purged: LogId) -> Result<(), Error> {
    let (db, _) = open(path, identity, None)?;
    let mut batch = WriteBatch::default();
    batch.put(format::PURGED, format::encode_purged(&purged));
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    db.write_opt(batch, &synced).map_err(Error::rocks("writing a new log"))
}

/// Whether the log in `path` says whose it is, or cannot be read. Changes nothing, and may be asked while another process has
/// the log open.
pub(super) fn is_owned(path: &Path) -> bool {
    let mut options = Options::default();
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    let Ok(db) = DB::open_for_read_only(&options, path, false) else { return true };
    !matches!(db.get_pinned(format::CLUSTER), Ok(None))
}

pub(super) fn open(path: &Path, identity: Identity, joined: Option<Identity>) -> Result<(DB, Identity), Error> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_keep_log_file_num(3);
    // Entries live shortly and are compressed on their way to the state.
    options.set_compression_type(DBCompressionType::None);
    // Only the torn end of an unsynced write may be dropped. Damage before it loses acknowledged entries: better not start.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    let db = open_torn(&options, path).map_err(Error::opening(path))?;
    verify(&db).map_err(Error::opening(path))?;
    check_format(&db)?;
    let identity = check_identity(&db, path, identity, joined)?;
    Ok((db, identity))
}

/// Opens the database, also after a power failure in the middle of a write.
fn open_torn(options: &Options, path: &Path) -> Result<DB, rocksdb::Error> {
    let damaged = match DB::open(options, path) {
        Err(error) if error.kind() == ErrorKind::Corruption => error,
        other => return other,
    };
    let Ok(Some(cut)) = torn::cut(path) else { return Err(damaged) };
    DB::open(options, path).map_err(|_| {
        // It was not that. Whoever looks into it should find the files as they were.
        if let Err(error) = cut.undo() {
            tracing::warn!(%error, folder = %path.display(), "zeros that were cut from the end of a damaged log are not put back");
        }
        damaged
    })
}

/// Reads all of it, which checks every block against its checksum. A log holds some ten thousand entries.
fn verify(db: &DB) -> Result<(), rocksdb::Error> {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    let mut all = db.raw_iterator_opt(options);
    all.seek_to_first();
    while all.valid() {
        all.next();
    }
    all.status()
}

fn check_format(db: &DB) -> Result<(), Error> {
    let Some(bytes) = db.get(format::FORMAT).map_err(Error::rocks("reading the format"))? else {
        return Ok(());
    };
    let found = bytes.try_into().map_err(|_| Error::Damaged { what: "the format version".to_owned() })?;
    match u32::from_be_bytes(found) {
        found if found > format::FORMAT_VERSION => Err(Error::NewerFormat { found, known: format::FORMAT_VERSION }),
        _ => Ok(()),
    }
}

fn check_identity(db: &DB, path: &Path, own: Identity, joined: Option<Identity>) -> Result<Identity, Error> {
    if let Some(bytes) = db.get(format::CLUSTER).map_err(Error::rocks("reading the cluster id"))? {
        let (found_cluster, found_member) = format::decode_pair(&bytes, "the cluster id")?;
        let by_name = db.get(format::JOINED).map_err(Error::rocks("reading the member's name"))?;
        if found_member == own.member_id || by_name.is_some_and(|id| id == own.member_id.to_be_bytes()) {
            return Ok(Identity { cluster_id: found_cluster, member_id: found_member });
        }
        let (cluster, member) = (own.cluster_id, own.member_id);
        return Err(Error::Foreign { path: path.to_owned(), found_cluster, found_member, cluster, member });
    }
    let mut batch = WriteBatch::default();
    let identity = joined.unwrap_or(own);
    batch.put(format::CLUSTER, format::encode_pair(identity.cluster_id, identity.member_id));
    if joined.is_some() {
        batch.put(format::JOINED, own.member_id.to_be_bytes());
    }
    batch.put(format::FORMAT, format::FORMAT_VERSION.to_be_bytes());
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    db.write_opt(batch, &synced).map_err(Error::rocks("writing the cluster id"))?;
    Ok(identity)
}
