//! Why a backup cannot be made or used. Nothing was changed.

use std::io;
use std::path::{Path, PathBuf};

use crate::{options, peer_tls, raft, state};

/// Each is for the operator to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Something else, or the beginning is damaged.
    #[error("{} is not a backup of a Keelson store", .path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// By a later version.
    #[error("{} has format {found}, this version reads up to {known}: use a newer version", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// Bytes are missing or too many.
    #[error("{} has {found} bytes where a whole backup has {expected}: it was cut short, or something was appended", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What its beginning says.
        expected: u64,
    },
    /// Bytes are wrong.
    #[error("{} is damaged: its SHA-256 is not the one at its end", .path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
    },
    /// No connection.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// The URL.
        endpoint: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The certificates to reach it with.
    #[error("cannot set TLS up")]
    Tls(#[source] peer_tls::Error),
    /// It answered with an error, or the stream broke.
    #[error("{endpoint} did not give a backup")]
    Refused {
        /// The URL.
        endpoint: String,
        /// What it said.
        #[source]
        status: Box<tonic::Status>,
    },
    /// The target is in use.
    #[error("the data folder {} has something in it: restore into a new one", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The revision would not fit.
    #[error("the revision cannot be raised by {by}")]
    Revision {
        /// By how much it should have been.
        by: i64,
    },
    /// The members of the new cluster.
    #[error("the new cluster cannot be made")]
    Options(#[source] options::Invalid),
    /// The state in the backup, or the live one.
    #[error("cannot use the state")]
    State(#[source] state::Error),
    /// The new log.
    #[error("cannot write the log")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client went away.
    #[error("the receiver of the backup went away")]
    Gone,
    /// The client is there, and does not read.
    #[error("the receiver of the backup did not read on")]
    Stalled,
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn log(error: raft::log::Error) -> Self {
        Error::Log(Box::new(error))
    }
}
