//! Copies of the state that are not open: looking into one, and giving one a new beginning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bytes::Bytes;
use keelson_proto::keelson::store::v1::ClusterState;
use rocksdb::{WriteBatch, WriteOptions};

use super::columns::{self, Columns};
use super::{Applied, Error, Options, cluster, flush, folder, meta};
use crate::mvcc::hash;
use crate::mvcc::scan::Scan;
use crate::mvcc::span::Span;

/// What a copy holds.
pub(crate) struct Content {
    pub revision: i64,
    pub compacted: i64,
    /// Live keys.
    pub keys: u64,
    /// As [`super::Reader::hash_kv`] at the revision.
    pub hash: u32,
}

/// Reads everything in the database in `path`.
pub(crate) fn inspect(path: &Path) -> Result<Content, Error> {
    let db = columns::open_read_only(path)?;
    let columns = Columns::of(&db)?;
    let position = meta::load(&columns)?;
    let scan = || Scan::new(&db, columns.data, None, Span::all(), position.revision, false);
    let mut counted = scan()?;
    let mut keys = 0;
    while counted.advance()? {
        keys += 1;
    }
    Ok(Content { revision: position.revision, compacted: position.compacted, keys, hash: hash::of(scan()?)? })
}

/// The folder of the first database of a state in `root`, made.
pub(crate) fn first_folder(root: &Path) -> Result<PathBuf, Error> {
    let path = folder::prepare(root)?;
    std::fs::create_dir_all(&path).map_err(Error::io("creating a folder", &path))?;
    Ok(path)
}

/// A new beginning: keys and leases stay, everything else is as given here.
pub(crate) struct Reset {
    pub index: u64,
    pub revision: i64,
    pub compacted: i64,
    pub membership: Vec<u8>,
    pub cluster: ClusterState,
}

/// Gives the database in `path` a new beginning, durably.
pub(crate) fn reset(path: &Path, reset: Reset) -> Result<(), Error> {
    let db = columns::open(path, &Options::default(), &Arc::new(AtomicI64::new(0)))?;
    let columns = Columns::of(&db)?;
    let applied = Applied { index: reset.index, term: 0, log_id: Bytes::new(), membership: reset.membership.into() };
    let mut batch = WriteBatch::default();
    meta::put_applied(&columns, &mut batch, &applied, true, reset.revision, reset.compacted);
    cluster::put(&columns, &mut batch, &reset.cluster);
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    db.write_opt(batch, &options).map_err(Error::rocks("writing a new beginning"))?;
    flush::flush(&columns)
}
