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
//!   half of the voters, *itself not counted*, has answered. Whatever it may have promised, it promised in a term that one
//!   of those knows, because candidates and leaders store their term before they ask. The highest term heard is the
//!   **floor**. From then on it
//!   1. follows only leaders of the floor's term or a later one, so that it cannot help a deposed leader to commit;
//!   2. neither stands for election nor votes, so that no leader owes its election to a forgetful vote: each has everything
//!      that was ever committed;
//!   3. asks such a leader for its last entry. Whatever it had acknowledged to that leader is at or before that. When it
//!      has applied this entry, it has again all that it may have forgotten, and a stored vote of the floor's term or
//!      later, and is a full member.
//!
//! **Which voters.** Members come and go, so what this member was started with does not say whose answers count. Each
//! answer carries the membership at the end of the log of the one who gave it, and the newest of those counts: more than
//! half of each of its sets of voters (two while a change is under way) must have answered. A membership that none of them
//! knows cannot have elected a leader or committed anything: it takes effect only after its joint form is in the logs of
//! more than half of the voters before it, of whom one has answered then. A membership older than the newest heard elects
//! nobody any more once the newer one is committed; until then the two share the voters of the joint form.
//!
//! **A member that was added** takes the same way: it follows without a voice until it has what the leader had. Nobody asks
//! for its vote before that anyway, because consensus counts it only after the leader has seen it catch up, and it says its
//! name, which that requires, only when its gate is open. One that was *removed* learns it from those who answer, and stops.
//!
//! The decision is stored, so that a restart in between continues it.
//!
//! **Invariant**: a gate only ever opens, and the decision is durable before it has an effect.

mod others;

use std::sync::Arc;
use std::time::Duration;

use keelson_proto::keelson::raft::v1::MemberStatusResponse;
use openraft::errors::RaftError;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::Raft;
use super::log::{GateState, Log};
use crate::apply::quorum;
use crate::peers::Peers;
use others::Others;

/// How often peers are asked while undecided or rejoining.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the gate cannot open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot store the decision to take part")]
    Store(#[source] std::io::Error),
    #[error("cannot initialize the cluster")]
    Initialize(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("consensus has stopped")]
    Stopped,
    #[error("this member was removed from the cluster for good: add it anew, with an empty data folder")]
    Removed,
    #[error(
        "the member at {address} is of another cluster than the one that this member's options name. If this member lost the \
         folder of a cluster that was restored from a backup, or that has other members than at its founding, start it with \
         --initial-cluster-state existing"
    )]
    OtherCluster { address: String },
}

/// Whether this member may vote, for those who must not keep its log open.
#[derive(Clone)]
pub(crate) struct Voice(Arc<RwLock<Option<GateState>>>);

impl Voice {
    pub(crate) fn may_vote(&self) -> bool {
        *self.0.read() == Some(GateState::Open)
    }
}

/// The gate of this member.
pub(crate) struct Gate {
    log: Log,
    /// None while undecided.
    state: Arc<RwLock<Option<GateState>>>,
    /// Never found a cluster: this member was added to one.
    joins: bool,
}

impl Gate {
    pub(crate) fn new(log: Log, joins: bool) -> Self {
        let state = Arc::new(RwLock::new(log.gate()));
        Self { log, state, joins }
    }

    /// Whether this member may vote, and stand for election.
    pub(crate) fn may_vote(&self) -> bool {
        self.voice().may_vote()
    }

    /// The same, from now on.
    pub(crate) fn voice(&self) -> Voice {
        Voice(Arc::clone(&self.state))
    }

    /// Whether this member knows if it founds its cluster or rejoins it.
    pub(crate) fn has_decided(&self) -> bool {
        self.state.read().is_some()
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
        let others = Others::new(peers, self.joins);
        let state = match state {
            Some(state) => state,
            None => self.find_out(raft, peers, &others).await?,
        };
        if let GateState::Rejoining { floor_term } = state {
            self.rejoin(floor_term, &others, applied).await?;
        }
        raft.runtime_config().elect(true);
        Ok(())
    }

    async fn find_out(&self, raft: &Raft, peers: &Peers, others: &Others) -> Result<GateState, Error> {
        loop {
            let heard = others.ask().await?;
            tracing::debug!(?heard, others = peers.others().len(), "who is there");
            // Members that this one was not started with must be asked, too.
            others.follow(&heard);
            let state = verdict(&heard, peers.own_id(), peers.all().len());
            match state {
                Some(GateState::Open) if self.joins => tokio::time::sleep(PAUSE).await,
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

    async fn rejoin(&self, floor_term: u64, others: &Others, mut applied: watch::Receiver<u64>) -> Result<(), Error> {
        let target = loop {
            let heard = others.ask().await?;
            let leader =
                heard.iter().find(|status| status.leader_id == status.member_id && status.leader_term >= floor_term);
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

/// What the answers of others mean for the member `own` without data, when `founders` members would found a cluster; None
/// when more answers are needed.
fn verdict(heard: &[MemberStatusResponse], own: u64, founders: usize) -> Option<GateState> {
    if heard.iter().any(|status| status.formed) {
        let floor_term = heard.iter().map(|status| status.term).max().unwrap_or(0);
        return covers(heard, own, founders).then_some(GateState::Rejoining { floor_term });
    }
    (heard.len() + 1 >= quorum::of(founders)).then_some(GateState::Open)
}

/// Whether those heard are more than half of each set of voters of the newest membership that one of them knows, without
/// `own`.
fn covers(heard: &[MemberStatusResponse], own: u64, founders: usize) -> bool {
    let memberships = heard.iter().filter_map(|status| status.membership.as_ref());
    let newest = memberships.max_by_key(|stored| stored.log_id.as_ref().map(|id| (id.term, id.index)));
    let sets = newest.and_then(|stored| stored.membership.as_ref()).map_or(&[][..], |membership| &membership.configs);
    if sets.is_empty() {
        return heard.len() >= quorum::of(founders);
    }
    sets.iter().all(|voters| {
        let answered = heard.iter().filter(|status| status.member_id != own && voters.ids.contains(&status.member_id));
        answered.count() >= quorum::of(voters.ids.len())
    })
}

async fn initialize(raft: &Raft, peers: &Peers) -> Result<(), Error> {
    let members: std::collections::BTreeSet<u64> = peers.all().iter().map(|peer| peer.id).collect();
    match raft.initialize(members).await {
        // Not allowed means that a leader was quicker.
        Ok(()) | Err(RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
        Err(RaftError::APIError(error)) => Err(Error::Initialize(Box::new(error))),
        Err(RaftError::Fatal(_)) => Err(Error::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use keelson_proto::keelson::raft::v1::membership::Voters;
    use keelson_proto::keelson::raft::v1::{LogId, Membership, StoredMembership};

    use super::*;

    const OWN: u64 = 9;

    fn status(term: u64, formed: bool) -> MemberStatusResponse {
        MemberStatusResponse { term, formed, ..MemberStatusResponse::default() }
    }

    /// An answer of `member_id`, whose log has a membership of these sets of voters at `index`.
    fn knows(member_id: u64, term: u64, index: u64, sets: &[&[u64]]) -> MemberStatusResponse {
        let configs = sets.iter().map(|ids| Voters { ids: ids.to_vec() }).collect();
        let membership = Some(Membership { configs, node_ids: vec![] });
        let stored = StoredMembership { log_id: Some(LogId { term: 1, index }), membership };
        MemberStatusResponse { member_id, term, formed: true, membership: Some(stored), ..Default::default() }
    }

    fn rejoining(floor_term: u64) -> Option<GateState> {
        Some(GateState::Rejoining { floor_term })
    }

    #[test]
    fn a_majority_without_data_is_a_new_cluster() {
        assert_eq!(verdict(&[], OWN, 1), Some(GateState::Open));
        assert_eq!(verdict(&[], OWN, 3), None);
        assert_eq!(verdict(&[status(0, false)], OWN, 3), Some(GateState::Open));
        assert_eq!(verdict(&[status(3, false)], OWN, 5), None);
    }

    #[test]
    fn a_member_of_an_existing_cluster_needs_a_majority_of_others() {
        assert_eq!(verdict(&[status(7, true)], OWN, 3), None);
        assert_eq!(verdict(&[status(7, true), status(9, false)], OWN, 3), rejoining(9));
        assert_eq!(verdict(&[status(7, true), status(8, true)], OWN, 3), rejoining(8));
    }

    #[test]
    fn the_newest_membership_says_whose_answers_count() {
        let three = &[&[1, 2, OWN][..]][..];
        assert_eq!(verdict(&[knows(1, 7, 5, three)], OWN, 3), None);
        assert_eq!(verdict(&[knows(1, 7, 5, three), knows(2, 8, 5, three)], OWN, 3), rejoining(8));
        // It was started with three and there are five now.
        let five = &[&[1, 2, 3, 4, OWN][..]][..];
        let two = [knows(1, 7, 5, three), knows(2, 7, 6, five)];
        assert_eq!(verdict(&two, OWN, 3), None);
        let answers = [two.to_vec(), vec![knows(4, 9, 6, five)]].concat();
        assert_eq!(verdict(&answers, OWN, 3), rejoining(9));
        // While a change is under way, both sets of voters must have answered.
        let joint = &[&[1, 2, 3][..], &[3, 4, 5][..]][..];
        assert_eq!(verdict(&[knows(1, 7, 8, joint), knows(2, 7, 8, joint), knows(3, 7, 8, joint)], OWN, 3), None);
        let answers = [1, 3, 4].map(|id| knows(id, 7, 8, joint));
        assert_eq!(verdict(&answers, OWN, 3), rejoining(7));
    }

    #[test]
    fn a_member_that_is_added_needs_the_voters_and_not_itself() {
        let one = &[&[1][..]][..];
        assert_eq!(verdict(&[knows(1, 7, 5, one)], OWN, 2), rejoining(7));
        // Alone with one that it voted with, it can never know what it forgot.
        let two = &[&[1, OWN][..]][..];
        assert_eq!(verdict(&[knows(1, 7, 5, two)], OWN, 2), None);
    }
}
