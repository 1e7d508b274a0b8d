//! Why a member cannot start, or had to stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{auth, corruption, etcd_v3, options, peer_tls, state};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What ends a member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options contradict each other.
    #[error("the store's options cannot be used")]
    Options(#[source] options::Invalid),
    /// Authentication cannot be set up: a key, most likely.
    #[error("cannot set authentication up")]
    Auth(#[source] auth::Invalid),
    /// The certificate for peers.
    #[error("cannot set TLS up for peers")]
    PeerTls(#[source] peer_tls::Error),
    /// A peer's address.
    #[error("cannot prepare connections to peers")]
    Peers(#[source] tonic::transport::Error),
    /// The peer port.
    #[error("cannot listen for peers on {address}")]
    Listen {
        /// Where it was asked to listen.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The etcd port.
    #[error("cannot serve the etcd API")]
    Etcd(#[source] etcd_v3::Error),
    /// The data folder itself.
    #[error("cannot use the data folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log: in use, of another cluster, of a newer format, damaged.
    #[error("cannot use the log")]
    Log(#[source] Source),
    /// The state.
    #[error("cannot use the state")]
    State(#[source] state::Error),
    /// The data are not those of the other members.
    #[error("this member does not start")]
    Differs(#[source] corruption::Differs),
    /// Consensus cannot go on: the log or the state failed.
    #[error("consensus has stopped")]
    Raft(#[source] Source),
    /// The member cannot take its place in the cluster.
    #[error("cannot take part in the cluster")]
    Join(#[source] Source),
    /// No member knows of this one.
    #[error("cannot join: {heard}; add this member first, with the address that its own initial cluster gives it")]
    NotAdded {
        /// What the last one that was asked said.
        heard: String,
    },
    /// A part that runs for ever did not.
    #[error("{part} ended by itself")]
    Ended {
        /// The part.
        part: &'static str,
    },
    /// A task panicked.
    #[error("a task of the store failed")]
    Task(#[source] tokio::task::JoinError),
}

impl Error {
    pub(super) fn log(error: crate::raft::log::Error) -> Self {
        Error::Log(Box::new(error))
    }
}
