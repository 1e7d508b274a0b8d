//! What a member needs to start: who it is, who its peers are, where it keeps its data, and its limits.
//!
//! **Invariant**: a value that passed [`Options::validate`] names this member exactly once among the peers, and all of
//! its limits are usable. Nothing here reads a file or a clock.

mod stall;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sha2::Digest as _;
use sha2::Sha256;

use crate::raft::log;
use crate::{auth, corruption, etcd_v3, propose};

#[doc(hidden)]
pub use stall::Stall;

/// What [`Options::max_request_bytes`] may be at most: members send each other whole requests in one message.
pub const REQUEST_BYTES_MAX: usize = 32 << 20;

/// One member of the static initial cluster, as this member reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The member's name, unique in the cluster.
    pub name: String,
    /// `host:port` that this member dials to reach it. Members may know each other by different addresses, so that a
    /// proxy can stand between any two of them.
    pub address: String,
}

/// A certificate with its key and the authority that the other side must come from, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate authority that the other side's certificate must be signed by.
    pub ca: PathBuf,
    /// Own certificate chain.
    pub certificate: PathBuf,
    /// Own private key.
    pub key: PathBuf,
}

/// How to run one member of the store. Build it with [`Options::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Options {
    /// This member's name; one of `peers`.
    pub name: String,
    /// The folder that holds everything this member must not lose. Created when absent.
    pub data_dir: PathBuf,
    /// Distinguishes clusters whose members have the same names.
    pub cluster_token: String,
    /// Every member of the initial cluster, this one included.
    pub peers: Vec<Peer>,
    /// Join a cluster that exists and was told of this member, instead of founding one. Matters only while `data_dir` is
    /// empty: the peers are then asked who this member is.
    pub join: bool,
    /// Refuse changes of membership that would leave less than a quorum of members that have started and answer.
    pub strict_reconfiguration: bool,
    /// Where peers reach this member.
    pub listen_peer: SocketAddr,
    /// Where etcd clients reach this member.
    pub listen_store: SocketAddr,
    /// Where `/metrics` and the health pages are served in the clear beside the etcd port, for those who have no certificate
    /// for it. Nothing stored can be read there.
    pub listen_metrics: Vec<SocketAddr>,
    /// The URL that clients are told to reach the store at; empty means `listen_store` itself.
    pub advertise_store: String,
    /// The certificate for both directions of the peer connections.
    pub peer_tls: Tls,
    /// The certificate of the etcd port. Required unless `insecure_store` is set.
    pub store_tls: Option<Tls>,
    /// Serve the etcd port without TLS; refused unless `listen_store` is a loopback address.
    pub insecure_store: bool,

    /// How often the leader makes itself heard.
    pub heartbeat_interval: Duration,
    /// A follower that hears nothing for a random time between these two stands for election.
    pub election_timeout_min: Duration,
    /// See `election_timeout_min`.
    pub election_timeout_max: Duration,
    /// How long a client's request may take before it is answered with a timeout or with "unknown".
    pub request_timeout: Duration,

    /// Log entries that are kept behind the last snapshot, so that a short lag never costs a snapshot.
    pub log_entries_to_keep: u64,
    /// Of those, no more than take so many bytes. A snapshot point is taken early when the log has twice as many.
    pub log_bytes_to_keep: u64,
    /// A snapshot point is taken, and the log before it purged, each time the log grew by so many entries.
    pub snapshot_every_entries: u64,
    /// How often the state is flushed to disk, so that the log before it can go.
    pub flush_interval: Duration,
    /// Bound of the log's cache of recent entries, in bytes.
    pub log_cache_bytes: usize,
    /// The log goes on in a new file when the last one has grown to this.
    pub log_segment_bytes: u64,
    /// Bound of the state database's block cache, in bytes.
    pub block_cache_bytes: usize,
    /// Bound of the state database's memtables, in bytes.
    pub write_buffer_bytes: usize,

    /// Authentication of the etcd port's clients.
    pub auth: auth::Options,
    /// Limits of the etcd port, which may be narrower than the store's own below.
    pub etcd: etcd_v3::Limits,
    /// The largest request that is accepted, in bytes.
    pub max_request_bytes: usize,
    /// The largest number of operations in one transaction, nested ones included.
    pub max_txn_ops: usize,
    /// Writes that may wait to be proposed; more are refused with "too many requests". Some more may be under way.
    pub queued_writes_max: usize,
    /// Bytes of writes that may wait or be under way, likewise. A larger one alone is taken.
    pub queued_bytes_max: usize,
    /// A leader whose disk has not finished a sync for so long hands leadership to a follower; zero for never.
    pub sync_stall_limit: Duration,
    /// Read all files of the state at the start and check them against their checksums. What is read later is always checked.
    pub verify_state: bool,
    /// When members compare what they hold.
    pub corruption: corruption::Options,
    /// For tests of a disk that stalls.
    #[doc(hidden)]
    pub stall: Stall,
    /// Writes are refused when the file system of `data_dir` has less than this free, in bytes.
    pub min_free_disk_bytes: u64,
    /// Writes are refused when any member's state has more bytes than this; 0 means that only the disk is the limit.
    pub quota_bytes: u64,
}

impl Options {
    /// Options with the usual timings and limits.
    pub fn new(
        name: impl Into<String>,
        data_dir: impl Into<PathBuf>,
        peers: Vec<Peer>,
        listen_peer: SocketAddr,
        listen_store: SocketAddr,
        peer_tls: Tls,
    ) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            cluster_token: "keelson".to_owned(),
            peers,
            join: false,
            strict_reconfiguration: true,
            listen_peer,
            listen_store,
            listen_metrics: Vec::new(),
            advertise_store: String::new(),
            peer_tls,
            store_tls: None,
            insecure_store: false,
            heartbeat_interval: Duration::from_millis(50),
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            // etcd's own: 5 s and two election timeouts of its default.
            request_timeout: Duration::from_secs(7),
            log_entries_to_keep: 10_000,
            log_bytes_to_keep: 512 << 20,
            snapshot_every_entries: 10_000,
            flush_interval: Duration::from_secs(30),
            log_cache_bytes: 32 << 20,
            log_segment_bytes: log::SEGMENT_BYTES,
            block_cache_bytes: 64 << 20,
            write_buffer_bytes: 64 << 20,
            auth: auth::Options::default(),
            etcd: etcd_v3::Limits::default(),
            max_request_bytes: 3 << 19, // 1.5 MiB
            max_txn_ops: 128,
            queued_writes_max: propose::QUEUE_MAX,
            queued_bytes_max: propose::QUEUE_BYTES_MAX,
            sync_stall_limit: Duration::from_secs(1),
            verify_state: true,
            corruption: corruption::Options::default(),
            stall: Stall::default(),
            min_free_disk_bytes: 256 << 20,
            quota_bytes: 0,
        }
    }

    /// Checks the options against each other.
    ///
    /// # Errors
    /// The first thing that is wrong, in words for the operator.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_peers(&self.name, &self.peers)?;
        if self.heartbeat_interval.is_zero()
            || self.election_timeout_min < self.heartbeat_interval * 2
            || self.election_timeout_max <= self.election_timeout_min
        {
            return Err(Invalid::Timings);
        }
        if self.insecure_store && !self.listen_store.ip().is_loopback() {
            return Err(Invalid::InsecureStore { address: self.listen_store });
        }
        if !self.insecure_store && self.store_tls.is_none() {
            return Err(Invalid::NoStoreTls);
        }
        let limits = [self.max_request_bytes, self.max_txn_ops, self.queued_writes_max, self.queued_bytes_max];
        if limits.contains(&0) || self.snapshot_every_entries == 0 {
            return Err(Invalid::ZeroLimit);
        }
        if self.max_request_bytes > REQUEST_BYTES_MAX {
            return Err(Invalid::LargeRequests { bytes: self.max_request_bytes });
        }
        if self.corruption.after_compactions && self.corruption.compaction_interval.is_zero() {
            return Err(Invalid::CompactionCheck);
        }
        Ok(())
    }

    /// The id of this member.
    pub fn member_id(&self) -> u64 {
        member_id(&self.cluster_token, &self.name)
    }

    /// The id of the cluster: the same for every member that was given the same token and names.
    pub fn cluster_id(&self) -> u64 {
        let mut names: Vec<&str> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
        names.sort_unstable();
        let parts = std::iter::once(self.cluster_token.as_str()).chain(names);
        stable_hash("keelson cluster", parts)
    }

    /// The URL of this member's etcd port, as its clients are told.
    pub fn store_url(&self) -> String {
        if !self.advertise_store.is_empty() {
            return self.advertise_store.clone();
        }
        let scheme = if self.insecure_store { "http" } else { "https" };
        format!("{scheme}://{}", self.listen_store)
    }
}

/// Checks that `name` is one of `peers`, once, and that all have usable names and addresses.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check_peers(name: &str, peers: &[Peer]) -> Result<(), Invalid> {
    let own = peers.iter().filter(|peer| peer.name == name).count();
    if own != 1 {
        return Err(Invalid::OwnName { name: name.to_owned(), count: own });
    }
    for (i, peer) in peers.iter().enumerate() {
        if peers[..i].iter().any(|other| other.name == peer.name) {
            return Err(Invalid::DuplicatePeer { name: peer.name.clone() });
        }
        if peers[..i].iter().any(|other| other.address.eq_ignore_ascii_case(&peer.address)) {
            return Err(Invalid::PeerAddress { name: peer.name.clone(), address: peer.address.clone() });
        }
        if http::uri::Authority::try_from(peer.address.as_str()).map_or(true, |a| a.port_u16().is_none()) {
            return Err(Invalid::PeerAddress { name: peer.name.clone(), address: peer.address.clone() });
        }
    }
    Ok(())
}

/// The `host:port` of a peer URL; None for anything else than that with a scheme.
pub(crate) fn url_authority(url: &str) -> Option<String> {
    let uri = http::Uri::try_from(url).ok()?;
    let authority = uri.authority().filter(|authority| authority.port_u16().is_some())?;
    let bare = matches!(uri.scheme_str(), Some("http" | "https")) && matches!(uri.path(), "" | "/");
    (bare && uri.query().is_none()).then(|| authority.to_string())
}

/// The id of a cluster made from a backup: never that of the cluster from which the backup is, so that members of the two
/// do not speak to each other. Neither do members that were restored to other revisions, the newest and the compacted one.
pub(crate) fn restored_cluster_id(token: &str, peers: &[Peer], sha256: &[u8], revisions: (i64, i64)) -> u64 {
    let mut names: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
    names.sort_unstable();
    let backup: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let revisions = format!("{} {}", revisions.0, revisions.1);
    let parts = [backup.as_str(), token, revisions.as_str()].into_iter().chain(names);
    stable_hash("keelson restored cluster", parts)
}

/// The id of the member called `name` in the cluster of `token`.
pub(crate) fn member_id(token: &str, name: &str) -> u64 {
    stable_hash("keelson member", [token, name].into_iter())
}

/// The first eight bytes of a SHA-256 over the length-prefixed parts, never 0 (which means "none" on the wire).
fn stable_hash<'a>(domain: &'a str, parts: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = Sha256::new();
    for part in std::iter::once(domain).chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first).max(1)
}

/// Options that no member can start with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The own name must be exactly one of the peers.
    #[error("the initial cluster names this member ({name}) {count} times; it must do so once")]
    OwnName {
        /// The own name.
        name: String,
        /// How often it is there.
        count: usize,
    },
    /// Two peers have one name.
    #[error("the initial cluster names {name} twice")]
    DuplicatePeer {
        /// The name.
        name: String,
    },
    /// Not `host:port`.
    #[error("the address {address:?} of peer {name} is not host:port")]
    PeerAddress {
        /// The peer's name.
        name: String,
        /// What was given as its address.
        address: String,
    },
    /// Elections would start while a leader is alive.
    #[error("timings need heartbeat > 0, election minimum >= 2 heartbeats, election maximum > minimum")]
    Timings,
    /// Clear text must not leave the machine.
    #[error("the etcd API is served without TLS on loopback addresses only, not on {address}")]
    InsecureStore {
        /// Where it was asked to listen.
        address: SocketAddr,
    },
    /// Neither a certificate nor `insecure_store`.
    #[error("the etcd API needs a certificate")]
    NoStoreTls,
    /// Members could not send such requests to each other.
    #[error("requests of {bytes} bytes are more than the {REQUEST_BYTES_MAX} that members send each other")]
    LargeRequests {
        /// The limit asked for.
        bytes: usize,
    },
    /// The leader would do nothing but look.
    #[error("the time between two looks for compactions to compare members after must be above zero")]
    CompactionCheck,
    /// A limit of zero lets nothing through.
    #[error("request size, transaction size and snapshot interval must be above zero")]
    ZeroLimit,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let peers = ["m1", "m2", "m3"]
            .iter()
            .enumerate()
            .map(|(i, name)| Peer { name: (*name).to_owned(), address: format!("127.0.0.1:{}", 2380 + i) })
            .collect();
        let tls = Tls { ca: "ca".into(), certificate: "cert".into(), key: "key".into() };
        let address = SocketAddr::from(([127, 0, 0, 1], 2380));
        let mut options = Options::new("m1", "/nowhere", peers, address, address, tls.clone());
        options.store_tls = Some(tls);
        options
    }

    #[test]
    fn ids_depend_on_names_and_token_only() {
        let mut one = options();
        let mut other = options();
        other.peers.reverse();
        other.peers[0].address = "proxy:1".to_owned();
        assert_eq!(one.cluster_id(), other.cluster_id());
        assert_eq!(one.member_id(), other.member_id());
        one.cluster_token = "another".to_owned();
        assert_ne!(one.cluster_id(), other.cluster_id());
        assert_ne!(one.member_id(), other.member_id());
        // Golden: ids are persisted in data folders.
        assert_eq!(member_id("keelson", "m1"), 0x7539_bb97_1686_1949);
    }

    #[test]
    fn wrong_options_are_refused_by_name() {
        assert_eq!(options().validate(), Ok(()));

        let mut o = options();
        o.name = "m9".to_owned();
        assert!(matches!(o.validate(), Err(Invalid::OwnName { count: 0, .. })));

        let mut o = options();
        o.peers[1].name = "m3".to_owned();
        assert!(matches!(o.validate(), Err(Invalid::DuplicatePeer { .. })));

        let mut o = options();
        o.peers[1].address = "no port".to_owned();
        assert!(matches!(o.validate(), Err(Invalid::PeerAddress { .. })));

        let mut o = options();
        o.insecure_store = true;
        o.listen_store = SocketAddr::from(([0, 0, 0, 0], 2379));
        assert!(matches!(o.validate(), Err(Invalid::InsecureStore { .. })));

        let mut o = options();
        o.max_request_bytes = REQUEST_BYTES_MAX + 1;
        assert!(matches!(o.validate(), Err(Invalid::LargeRequests { .. })));

        let mut o = options();
        o.corruption.compaction_interval = Duration::ZERO;
        assert_eq!(o.validate(), Ok(()));
        o.corruption.after_compactions = true;
        assert_eq!(o.validate(), Err(Invalid::CompactionCheck));

        let mut o = options();
        o.election_timeout_max = o.election_timeout_min;
        assert_eq!(o.validate(), Err(Invalid::Timings));
    }
}
