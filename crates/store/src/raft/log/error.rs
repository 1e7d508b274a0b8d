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
    /// Written by a version whose format is not read any more.
    #[error(
        "the log in {} has the first format, which this version does not read: make a backup with the version that wrote it, and \
         restore that; or move the data folders of one member after the other away, and let each get its data from the others",
        .path.display()
    )]
    OlderFormat {
        /// The folder.
        path: PathBuf,
    },
    /// Where a log was to be made.
    #[error("there is a log in {}", .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {what}: {}", .file.display(), damage::ADVICE)]
    DamagedFile {
        /// The file, or the folder when it is about more than one.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry of 4 GiB.
    #[error("an entry is longer than any can be")]
    TooLong,
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
    /// For `map_err` after a call on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn damaged_file(file: PathBuf, what: &'static str) -> Self {
        Self::DamagedFile { file, what }
    }

    pub(super) fn missing_file(file: PathBuf) -> Self {
        Self::DamagedFile { file, what: "it is missing" }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}
