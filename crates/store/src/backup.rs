//! Backups: one file with everything that a member's state holds, and new members made of it.
//!
//! ```text
//! "KEELSNAP"          magic
//! 00 00 00 01         format version (4 bytes)
//! length (4 bytes)    of the manifest
//! manifest            an encoded `keelson.store.v1.SnapshotManifest`
//! files               the bytes of each file of a checkpoint, one after the other, as the manifest lists them
//! 00 …                up to a multiple of 512 bytes, by which etcdctl sees that a checksum follows
//! SHA-256 (32 bytes)  of everything before
//! ```
//!
//! Integers are big-endian. `Maintenance.Snapshot` sends exactly this; the checksum is its last blob.
//!
//! **Invariant**: nothing is written outside a folder of its own before the whole file has been verified.

mod archive;
mod error;
mod fetch;
mod make;
mod restore;

use std::path::Path;

pub(crate) use archive::Archive;
pub use archive::Summary;
pub use error::Error;
pub use fetch::{Fetched, fetch};
pub(crate) use make::{Backup, Blob, CHECKPOINT};
pub use restore::{Restore, restore};

/// What the file at `path` holds, after verifying all of it. `scratch` is a folder for as many bytes again; what is put
/// there is removed.
///
/// # Errors
/// When the file is not a backup, is cut short or damaged, or is of a newer version.
pub fn status(path: &Path, scratch: &Path) -> Result<Summary, Error> {
    let archive = Archive::open(path)?;
    let folder = folder_in(scratch)?;
    archive.unpack(folder.path())?;
    archive.summary(folder.path())
}

/// A folder in `parent` that is removed with what is in it.
pub(crate) fn folder_in(parent: &Path) -> Result<tempfile::TempDir, Error> {
    let at = |source| Error::Io { action: "make a folder in", path: parent.to_owned(), source };
    std::fs::create_dir_all(parent).map_err(at)?;
    tempfile::Builder::new().prefix("keelson-backup-").tempdir_in(parent).map_err(at)
}
