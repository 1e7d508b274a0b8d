//! Why the log cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::damage;
use crate::raft::codec;

/// Each of these keeps the member from starting, or stops it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Two processes on one folder.
    #[error("the data folder {} is already in use by another process", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Somebody else's data.
    #[error(
        "the data folder {} belongs to member {found_member:016x} of cluster {found_cluster:016x}, \
         not to member {member:016x} of cluster {cluster:016x}: wrong folder, name, token or initial cluster",
        .path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found_cluster: u64,
        /// Whose it is.
        found_member: u64,
        /// Who wanted it.
        cluster: u64,
        /// Who wanted it.
        member: u64,
    },
    /// Written by a newer version.
    #[error("the log has format {found}, this version reads up to {known}: run a newer version")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// RocksDB failed.
    #[error("{operation} failed in the log database")]
    Rocks {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: rocksdb::Error,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {}", .file.display(), damage::ADVICE)]
    DamagedFile {
        /// The file, or the folder when RocksDB does not say which.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rocksdb::Error,
    },
    /// Something stored cannot be read.
    #[error("the log is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// An entry cannot be decoded.
    #[error("the log holds something unreadable")]
    Codec(#[from] codec::Error),
    /// A simulated disk failed.
    #[error("the simulated disk failed")]
    Simulated {
        /// As the simulation says.
        #[source]
        source: io::Error,
    },
    /// The writing thread could not be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
}

impl Error {
    /// For `map_err` after a RocksDB call.
    pub(super) fn rocks(operation: &'static str) -> impl Fn(rocksdb::Error) -> Error {
        move |source| Error::Rocks { operation, source }
    }

    /// For `map_err` after opening the database.
    pub(super) fn opening(path: &Path) -> impl Fn(rocksdb::Error) -> Error {
        move |source| {
            // RocksDB has no code of its own for a lock that is held.
            let text = source.to_string();
            if text.contains("lock hold by current process") || text.contains("While lock file") {
                return Error::InUse { path: path.to_owned() };
            }
            match damage::file(&source, path) {
                Some(file) => Error::DamagedFile { file, source },
                None => Error::Rocks { operation: "opening", source },
            }
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}
