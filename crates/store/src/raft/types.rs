//! openraft's type parameters, fixed.

use std::fmt;

use bytes::Bytes;

/// The application part of an entry: an encoded `keelson.store.v1.Batch`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Proposal,
        // Replies go to whoever waits on the member that applies; see `crate::propose::answers`.
        R = (),
        NodeId = u64,
        // Names and addresses are in the replicated list of members.
        Node = (),
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::runtime::Runtime,
);

type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
type CommittedLeaderId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;

pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Payload = openraft::EntryPayload<Proposal, u64, ()>;
pub(crate) type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, ()>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, ()>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, u64, ()>;
pub(crate) type Snapshot<Data> = openraft::Snapshot<CommittedLeaderId, u64, (), Data>;

/// The id of the entry at `index` of the leader of `term`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(term.into(), index)
}
