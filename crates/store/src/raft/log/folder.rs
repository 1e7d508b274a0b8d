//! Opening the log's folder, and making sure that it is this member's.
//!
//! ```text
//! lock                       held while the log is open
//! identity                   whose log it is; see `format.rs`. There from when the log is whole
//! 0000000000000001.segment   see `record.rs`
//! …
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::format::{self, OddOwner, Owner};
use super::replay::{self, Kept, Replayed};
use super::segment::{self, Newest};
use crate::raft::types::LogId;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
/// What a log of the first format has.
const ROCKSDB: &str = "CURRENT";
/// A log's first segment.
pub(super) const FIRST: u64 = 1;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// See [`crate::Options::cluster_id`].
    pub(crate) cluster_id: u64,
    /// See [`crate::Options::member_id`].
    pub(crate) member_id: u64,
}

/// A folder that no other process writes to.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Makes a log in `path` that begins after `purged`.
///
/// # Errors
/// When it cannot be written, or there is one.
pub(crate) fn found(path: &Path, identity: Identity, purged: LogId, segment_bytes: u64) -> Result<(), Error> {
    let folder = Folder::lock(path)?;
    if is_owned(path) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let owner = Owner { identity, id_by_name: identity.member_id };
    folder.create(&owner, &Kept { purged: Some(purged), ..Kept::default() }, segment_bytes)
}

/// Whether the log in `path` says whose it is.
pub(super) fn is_owned(path: &Path) -> bool {
    // What cannot be looked at is there: opening it says why.
    [IDENTITY, ROCKSDB].iter().any(|name| path.join(name).try_exists().unwrap_or(true))
}

/// Opens the log in `path`, or makes it there; says whose it is.
pub(super) fn open(
    path: &Path,
    own: Identity,
    joined: Option<Identity>,
    segment_bytes: u64,
) -> Result<(Folder, Replayed, Identity), Error> {
    let folder = Folder::lock(path)?;
    let owner = match folder.owner()? {
        Some(owner) => owner,
        None => {
            let owner = Owner { identity: joined.unwrap_or(own), id_by_name: own.member_id };
            folder.create(&owner, &Kept::default(), segment_bytes)?;
            owner
        }
    };
    let Owner { identity, id_by_name } = owner;
    if identity.member_id != own.member_id && id_by_name != own.member_id {
        return Err(Error::Foreign {
            path: path.to_owned(),
            found_cluster: identity.cluster_id,
            found_member: identity.member_id,
            cluster: own.cluster_id,
            member: own.member_id,
        });
    }
    let replayed = replay::replay(path, segment_bytes)?;
    let replayed = replayed.ok_or_else(|| Error::missing_file(segment::path(path, FIRST)))?;
    Ok((folder, replayed, identity))
}

impl Folder {
    fn lock(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            segment::sync_folder(parent)?;
        }
        let lock = path.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(Error::io("open", &lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &lock)(source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn owner(&self) -> Result<Option<Owner>, Error> {
        let path = self.path.join(IDENTITY);
        let rocksdb = self.path.join(ROCKSDB);
        // Beside a log of this format, too: an older version has made it since, and has voted by it.
        if rocksdb.try_exists().map_err(Error::io("look for", &rocksdb))? {
            return Err(Error::OlderFormat { path: self.path.clone() });
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        match format::decode_owner(&bytes) {
            Ok(owner) => Ok(Some(owner)),
            Err(OddOwner::Newer { found }) => Err(Error::NewerFormat { found, known: format::FORMAT_VERSION }),
            Err(OddOwner::Damaged) => Err(Error::damaged_file(path, "it does not say whose log it is")),
        }
    }

    /// Makes a log that has no entries. Whose it is comes last: without that, what is there was left by a crash in the middle.
    fn create(&self, owner: &Owner, kept: &Kept, segment_bytes: u64) -> Result<(), Error> {
        for number in segment::list(&self.path)? {
            segment::remove(&self.path, number)?;
        }
        Newest::create(&self.path, FIRST, segment_bytes, 1, kept)?;
        segment::publish(&self.path, &self.path.join(IDENTITY), &format::encode_owner(owner), 0)?;
        Ok(())
    }
}
