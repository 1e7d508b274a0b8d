//! Why the state cannot go on. Each of these stops the member.

use std::io;
use std::path::{Path, PathBuf};

use crate::damage;

/// Disk failure, damage, or something written by another version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation} failed in the state database")]
    Rocks {
        operation: &'static str,
        #[source]
        source: rocksdb::Error,
    },
    #[error("{operation} failed on {path}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged: {}", .file.display(), damage::ADVICE)]
    DamagedFile {
        /// The file, or the folder when RocksDB does not say which.
        file: PathBuf,
        #[source]
        source: rocksdb::Error,
    },
    #[error("{} does not name a state that is there, and so is damaged: {}", .pointer.display(), damage::ADVICE)]
    DamagedPointer { pointer: PathBuf },
    #[error("the state is damaged: {what} cannot be read")]
    Corrupt { what: &'static str },
    #[error(
        "the state was written by a newer format ({found}); this version reads up to {supported}: run the version that wrote it"
    )]
    NewerFormat { found: String, supported: u32 },
    #[error("entry {index} does not follow the last applied entry {applied}")]
    OutOfOrder { index: u64, applied: u64 },
    #[error("entry {index} holds a command that this version does not know: run a newer version")]
    UnknownCommand { index: u64 },
    #[error("the state is closed")]
    Closed,
}

impl Error {
    /// For `map_err` after a RocksDB call.
    pub(crate) fn rocks(operation: &'static str) -> impl Fn(rocksdb::Error) -> Error {
        move |source| Error::Rocks { operation, source }
    }

    /// For `map_err` after opening the database in `folder`, or reading all of it.
    pub(crate) fn opening(operation: &'static str, folder: &Path) -> impl Fn(rocksdb::Error) -> Error {
        move |source| match damage::file(&source, folder) {
            Some(file) => Error::DamagedFile { file, source },
            None => Error::Rocks { operation, source },
        }
    }

    /// For `map_err` after a file operation.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { operation, path, source }
    }
}
