//! What members know of themselves and of each other, as plain values.

use keelson_proto::keelson::store::v1::MemberRecord;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Stable: a founder's is a hash of the cluster's token and its name, that of a member added later was drawn.
    pub id: u64,
    /// Unique in the cluster.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients of the store reach it; empty until this member has heard from it.
    pub client_urls: Vec<String>,
    /// Asked to be without a vote.
    pub learner: bool,
}

impl From<MemberRecord> for Member {
    fn from(record: MemberRecord) -> Self {
        let MemberRecord { id, name, peer_urls, client_urls, learner, .. } = record;
        Self { id, name, peer_urls, client_urls, learner }
    }
}

/// What a member knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The leader of `term`, when one is known.
    pub leader_id: Option<u64>,
    /// The current Raft term.
    pub term: u64,
    /// The revision that this member has applied.
    pub revision: i64,
    /// The last log entry that this member has applied.
    pub applied_index: u64,
    /// The last log entry that this member knows to be on a quorum.
    pub committed_index: u64,
    /// The last log entry that this member has.
    pub last_log_index: u64,
    /// Whether the voters in this member's log are one set: no change from one to another is under way there.
    pub settled: bool,
    /// Size of the state, on disk and not there yet.
    pub database_bytes: i64,
    /// The part of it that is in use: the rest are files that are only kept until a read of them is over.
    pub database_bytes_in_use: i64,
}

/// One member as the member that was asked sees it. Figures are 0 when `error` says why it did not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// See [`Member::id`].
    pub id: u64,
    /// See [`Member::name`].
    pub name: String,
    /// `host:port` of its peer port, as the asked member dials it.
    pub peer_address: String,
    /// The URL of its etcd port; empty when it was never heard of.
    pub store_address: String,
    /// Whether it considers itself the leader.
    pub leader: bool,
    /// Whether its vote counts.
    pub voter: bool,
    /// The Raft term it is in.
    pub term: u64,
    /// The revision it has applied.
    pub revision: i64,
    /// The last log entry it has applied.
    pub applied_index: u64,
    /// Entries between the longest log that was seen and what this member has applied.
    pub lag_entries: u64,
    /// Size of its state on disk.
    pub database_bytes: i64,
    /// Empty when it answered.
    pub error: String,
    /// The version it runs.
    pub version: String,
}
