//! Why keys cannot be imported.

use std::io;
use std::path::PathBuf;

use crate::{backup, state};

/// Each is for the operator to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody to ask.
    #[error("no endpoint is given to import from")]
    NoEndpoint,
    /// Not a URL, or TLS files that do not fit.
    #[error("the endpoint {endpoint} cannot be used")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing is overwritten.
    #[error("{} is there already: remove it, or import into another file", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
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
    /// No endpoint has answered for a while. The import can be gone on with.
    #[error("no endpoint answers: {endpoint}, asked for {what}, says {message:?}; run the same command again to go on")]
    Unreachable {
        /// The last one that was asked.
        endpoint: String,
        /// For what.
        what: &'static str,
        /// What it, or the connection to it, said.
        message: String,
    },
    /// The source does not want to.
    #[error("{endpoint}, asked for {what}, refuses: {message}")]
    Refused {
        /// Who.
        endpoint: String,
        /// What it was asked for.
        what: &'static str,
        /// Its words.
        message: String,
    },
    /// The revision that is read is gone.
    #[error(
        "the source has compacted revision {revision}, at which it was being read: remove {} and run the command again, \
         without compaction at the source meanwhile (etcd's --auto-compaction-retention=0; a Kubernetes API server's \
         --etcd-compaction-interval=0)",
        .partial.display()
    )]
    Compacted {
        /// The revision.
        revision: i64,
        /// What was imported so far.
        partial: PathBuf,
    },
    /// What is there was begun from another cluster.
    #[error("{} was begun from cluster {expected:016x}, and {found:016x} answers: remove it to begin anew", .partial.display())]
    OtherCluster {
        /// What was imported so far.
        partial: PathBuf,
        /// Where that came from.
        expected: u64,
        /// Who answers.
        found: u64,
    },
    /// Pairs that no store has, or in the wrong order.
    #[error("{endpoint} answers with {what}, which no etcd does")]
    Odd {
        /// Who.
        endpoint: String,
        /// What.
        what: &'static str,
    },
    /// A pair does not fit into an answer of the largest size.
    #[error("a key after {after:?} has more than {bytes_max} bytes, which is more than can be imported")]
    TooLarge {
        /// The key before it.
        after: String,
        /// The limit.
        bytes_max: usize,
    },
    /// What the revision deleted does not fit into memory.
    #[error(
        "the source's newest change, at revision {revision}, deletes keys of more than {bytes_max} bytes in all: change any key there \
         and run the command again"
    )]
    ManyDeletions {
        /// The revision.
        revision: i64,
        /// The limit.
        bytes_max: usize,
    },
    /// Fewer or more keys than the source counted.
    #[error(
        "the source counted {expected} keys at its revision and gave {found}: remove {} and run the command again to begin anew",
        .partial.display()
    )]
    Incomplete {
        /// What was imported so far.
        partial: PathBuf,
        /// At the beginning.
        expected: u64,
        /// At the end.
        found: u64,
    },
    /// The disk did not keep what was written.
    #[error("what was written to {} is not what was received: the disk may be failing; remove it to begin anew", .partial.display())]
    Differs {
        /// What was imported so far.
        partial: PathBuf,
    },
    /// The unfinished state.
    #[error("cannot write the imported keys")]
    State(#[source] state::Error),
    /// The file.
    #[error("cannot make the file")]
    Backup(#[source] backup::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_wrong_until_the_folder_is_removed_says_so() {
        let partial = || PathBuf::from("to.snap.part");
        for error in [
            Error::Incomplete { partial: partial(), expected: 2, found: 1 },
            Error::Compacted { partial: partial(), revision: 5 },
            Error::OtherCluster { partial: partial(), expected: 1, found: 2 },
            Error::Differs { partial: partial() },
        ] {
            let told = error.to_string();
            assert!(told.contains("to.snap.part") && told.contains("remove"), "{told}");
        }
    }
}
