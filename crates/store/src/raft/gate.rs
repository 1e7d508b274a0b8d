//! Whether this member may take part in elections and follow leaders: the safety of a member that lost its data.
//!
//! Raft assumes that a member never forgets. One whose folder was wiped has forgotten its votes and the entries that it
//! acknowledged; if it answered as a new member would, two leaders could be elected in one term, or one that lacks what the
//! forgotten acknowledgement committed. So a member without data answers nobody until it knows which of two cases it is:
//!
//! - **A new cluster.** More than half of the members, itself included, have never had an entry of an elected leader. Less
//!   than half can have lost their data at once (more is a lost cluster, for the operator to restore), so there is no
//!   cluster yet. It initializes one; members that do so independently write the same first entry.
//! - **An existing cluster.** A member says that it had a leader. This one is *rejoining*: it asks others until more than
//!   half of the cluster, *itself not counted*, has answered. Whatever it may have promised, it promised in a term that one
//!   of those knows, because candidates and leaders store their term before they ask. The highest term heard is the
//!   **floor**. From then on it
//!   1. follows only leaders of the floor's term or a later one, so that it cannot help a deposed leader to commit;
//!   2. neither stands for election nor votes, so that no leader owes its election to a forgetful vote: each has everything
//!      that was ever committed;
//!   3. asks such a leader for its last entry. Whatever it had acknowledged to that leader is at or before that. When it
//!      has applied this entry, it has again all that it may have forgotten, and a stored vote of the floor's term or
//!      later, and is a full member.
//!
//! The decision is stored, so that a restart in between continues it.
//!
//! **Invariant**: a gate only ever opens, and the decision is durable before it has an effect.

use std::time::Duration;

use keelson_proto::keelson::raft::v1::{MemberStatusRequest, MemberStatusResponse};
use openraft::errors::RaftError;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::Raft;
use super::log::{GateState, Log};
use crate::peers::Peers;

/// How often peers are asked while undecided or rejoining.
const PAUSE: Duration = Duration::from_millis(100);
/// A peer that does not answer by then is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Why the gate cannot open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot store the decision to take part")]
    Store(#[source] std::io::Error),
    #[error("cannot initialize the cluster")]
    Initialize(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("consensus has stopped")]
    Stopped,
}

/// The gate of this member.
pub(crate) struct Gate {
    log: Log,
    /// None while undecided.
    state: RwLock<Option<GateState>>,
}

impl Gate {
    /// # Errors
    /// When the stored decision cannot be read.
    pub(crate) fn new(log: Log) -> Result<Self, super::log::Error> {
        let state = RwLock::new(log.gate()?);
        Ok(Self { log, state })
    }

    /// Whether this member may vote, and stand for election.
    pub(crate) fn may_vote(&self) -> bool {
        *self.state.read() == Some(GateState::Open)
    }

    /// Whether this member may follow a leader of `term`.
    pub(crate) fn may_follow(&self, term: u64) -> bool {
        match *self.state.read() {
            None => false,
            Some(GateState::Open) => true,
            Some(GateState::Rejoining { floor_term }) => term >= floor_term,
        }
    }

    async fn decide(&self, state: GateState) -> Result<(), Error> {
        self.log.save_gate(state).await.map_err(Error::Store)?;
        *self.state.write() = Some(state);
        Ok(())
    }

    /// Decides, rejoins if need be, and opens. Returns when the gate is open.
    ///
    /// # Errors
    /// When the disk fails or consensus stops.
    pub(crate) async fn open(&self, raft: &Raft, peers: &Peers, applied: watch::Receiver<u64>) -> Result<(), Error> {
        let state = *self.state.read();
        let state = match state {
            Some(state) => state,
            None => self.find_out(raft, peers).await?,
        };
        if let GateState::Rejoining { floor_term } = state {
            self.rejoin(floor_term, peers, applied).await?;
        }
        raft.runtime_config().elect(true);
        Ok(())
    }

    async fn find_out(&self, raft: &Raft, peers: &Peers) -> Result<GateState, Error> {
        loop {
            let heard = ask_others(peers).await;
            let state = verdict(&heard, peers.quorum());
            match state {
                Some(GateState::Open) => {
                    self.decide(GateState::Open).await?;
                    tracing::info!("initializing a new cluster");
                    initialize(raft, peers).await?;
                    return Ok(GateState::Open);
                }
                Some(state) => {
                    tracing::info!(?state, "the cluster exists: rejoining it without a vote until caught up");
                    self.decide(state).await?;
                    return Ok(state);
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn rejoin(&self, floor_term: u64, peers: &Peers, mut applied: watch::Receiver<u64>) -> Result<(), Error> {
        let target = loop {
            let heard = ask_others(peers).await;
            let leader = heard.iter().find(|status| status.leader_id == status.member_id && status.term >= floor_term);
            if let Some(leader) = leader {
                break leader.last_log_index;
            }
            tokio::time::sleep(PAUSE).await;
        };
        applied.wait_for(|position| *position >= target).await.map_err(|_| Error::Stopped)?;
        self.decide(GateState::Open).await?;
        tracing::info!("caught up: a full member again");
        Ok(())
    }
}

/// What the answers of others mean for a member without data; None when more are needed.
fn verdict(heard: &[MemberStatusResponse], quorum: usize) -> Option<GateState> {
    if heard.iter().any(|status| status.formed) {
        let floor_term = heard.iter().map(|status| status.term).max().unwrap_or(0);
        return (heard.len() >= quorum).then_some(GateState::Rejoining { floor_term });
    }
    (heard.len() + 1 >= quorum).then_some(GateState::Open)
}

async fn ask_others(peers: &Peers) -> Vec<MemberStatusResponse> {
    let answers = peers.others().map(|peer| async move {
        let mut client = peer.questions();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.member_status(MemberStatusRequest {})).await;
        answer.ok()?.ok().map(tonic::Response::into_inner)
    });
    futures::future::join_all(answers).await.into_iter().flatten().collect()
}

async fn initialize(raft: &Raft, peers: &Peers) -> Result<(), Error> {
    let members: std::collections::BTreeSet<u64> = peers.all().map(|peer| peer.id).collect();
    match raft.initialize(members).await {
        // Not allowed means that a leader was quicker.
        Ok(()) | Err(RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
        Err(RaftError::APIError(error)) => Err(Error::Initialize(Box::new(error))),
        Err(RaftError::Fatal(_)) => Err(Error::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(term: u64, formed: bool) -> MemberStatusResponse {
        MemberStatusResponse { term, formed, ..MemberStatusResponse::default() }
    }

    #[test]
    fn a_majority_without_data_is_a_new_cluster() {
        assert_eq!(verdict(&[], 1), Some(GateState::Open));
        assert_eq!(verdict(&[], 2), None);
        assert_eq!(verdict(&[status(0, false)], 2), Some(GateState::Open));
        assert_eq!(verdict(&[status(3, false)], 3), None);
    }

    #[test]
    fn a_member_of_an_existing_cluster_needs_a_majority_of_others() {
        assert_eq!(verdict(&[status(7, true)], 2), None);
        let rejoining = |floor_term| Some(GateState::Rejoining { floor_term });
        assert_eq!(verdict(&[status(7, true), status(9, false)], 2), rejoining(9));
        assert_eq!(verdict(&[status(7, true), status(8, true)], 2), rejoining(8));
    }
}
