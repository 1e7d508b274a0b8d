//! Who the members are: the replicated list, and consensus that follows it.
//!
//! The list is the truth. Changing it is one command; the leader then takes consensus there step by step (see [`plan`]),
//! whoever leads and however often that changes. A voter that was added takes part as a learner until it has caught up, so
//! that one which never comes costs no quorum. Peers, and connections to them, follow the list on every member.
//!
//! **Invariant**: a member that was removed stops, and no id that was removed comes back.

mod change;
mod plan;
mod unapplied;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keelson_proto::keelson::raft::v1::MemberStatusRequest;
use keelson_proto::keelson::store::v1::{ClusterState, MemberPublish, MemberRecord, MembersFound, command};
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::handle;
use crate::member::{Member, Shared};
use crate::options;
use crate::raft::gate::{self, Gate};
use plan::{Now, Step};

pub(crate) use change::{change, change_here};
pub(crate) use unapplied::Unapplied;

/// How often is looked whether anything is out of date.
const INTERVAL: Duration = Duration::from_millis(100);
/// A member that believes to have a leader asks so rarely whether it was removed without hearing of it.
const TURNS_PER_QUESTION: u64 = 20;
/// A step of consensus that takes longer is looked at anew: it may go on meanwhile.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the next leader may take, when this one is to go.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long another member may take to say whether this one was removed.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs until the member stops.
///
/// # Errors
/// [`gate::Error::Removed`] when this member was removed.
pub(crate) async fn run(member: Shared, gate: Arc<Gate>) -> Result<(), gate::Error> {
    let mut leadership = member.leadership.clone();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = leadership.changed() => if changed.is_err() { return Ok(()) },
        }
        // In this order: what the log says is dropped only when the list that is looked at has it.
        let applied = *member.applied.borrow();
        let cluster = member.reader.cluster();
        // Before that, the gate finds out who is there: a backup that this member comes from may know less.
        if gate.has_decided() {
            follow(&member, &cluster, applied);
        }
        let now = member.now_leadership();
        let alone = now.leader_id.is_none() || (!now.leading && turn % TURNS_PER_QUESTION == 0);
        if (alone || cluster.removed_ids.contains(&member.own_id())) && removed(&member).await {
            return Err(gate::Error::Removed);
        }
        if let Some(command) = due(&member, &cluster, &gate) {
            if let Err(error) = handle::cluster::change(&member, command).await {
                tracing::warn!(%error, "the list of members did not change; it will be tried again");
            }
        } else if member.now_leadership().leading {
            take_step(&member, &cluster).await;
        }
    }
    Ok(())
}

/// Brings what this member does by the list up to date with it; the list is that of the position `applied` or of a later one.
fn follow(member: &Member, cluster: &ClusterState, applied: u64) {
    let metrics = member.raft.metrics();
    let needed: BTreeSet<u64> = metrics.borrow_watched().membership_config.nodes().map(|(id, ())| *id).collect();
    let members = member.unapplied.over(&cluster.members, applied);
    member.peers.follow(&members, &cluster.removed, &needed);
    let learner = cluster.members.iter().any(|record| record.id == member.own_id() && record.learner);
    member.learner.store(learner, Ordering::Relaxed);
}

/// What is to be written down.
fn due(member: &Member, cluster: &ClusterState, gate: &Gate) -> Option<command::Command> {
    let leadership = member.now_leadership();
    if cluster.members.is_empty() {
        return leadership.leading.then(|| command::Command::MembersFound(MembersFound { members: founders(member) }));
    }
    leadership.leader_id.filter(|_| gate.may_vote())?;
    let own = cluster.members.iter().find(|record| record.id == member.own_id())?;
    let (name, client_urls) = (&member.options.name, vec![member.options.store_url()]);
    let published = own.name == *name && own.client_urls == client_urls;
    (!published).then(|| {
        let publish = MemberPublish { id: own.id, name: name.clone(), client_urls };
        command::Command::MemberPublish(publish)
    })
}

/// The members that this one was started with.
pub(crate) fn founders(member: &Member) -> Vec<MemberRecord> {
    let founder = |peer: &options::Peer| MemberRecord {
        id: options::member_id(&member.options.cluster_token, &peer.name),
        name: peer.name.clone(),
        peer_urls: vec![format!("https://{}", peer.address)],
        ..MemberRecord::default()
    };
    member.options.peers.iter().map(founder).collect()
}

/// Whether another member says that this one was removed.
async fn removed(member: &Member) -> bool {
    let request = MemberStatusRequest { asking_member_id: member.own_id() };
    let answers = member.peers.others().into_iter().map(|peer| async move {
        let mut client = peer.questions();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.member_status(request)).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|response| response.into_inner().asker_removed))
    });
    futures::future::join_all(answers).await.contains(&true)
}

/// Takes consensus one step towards the list; on the leader only.
async fn take_step(member: &Member, cluster: &ClusterState) {
    let Some(now) = now(member) else { return };
    let Some(step) = plan::next(&cluster.members, &now) else { return };
    tracing::info!(?step, "consensus follows the list of members");
    let change = match step {
        Step::HandOver => {
            if let Err(error) = member.transfer_leadership(None, HAND_OVER_TIMEOUT).await {
                tracing::warn!(%error, "leadership could not be handed over; it will be tried again");
            }
            return;
        }
        Step::AddLearners(ids) => ChangeMembers::AddNodes(ids.into_iter().map(|id| (id, ())).collect()),
        Step::AddVoters(ids) => ChangeMembers::AddVoterIds(ids),
        Step::RemoveVoters(ids) => ChangeMembers::RemoveVoters(ids),
        Step::RemoveLearners(ids) => ChangeMembers::RemoveNodes(ids),
    };
    match tokio::time::timeout(STEP_TIMEOUT, member.raft.change_membership(change, false)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "consensus did not follow the list; it will be tried again"),
        Err(_) => tracing::warn!("consensus takes long to follow the list of members"),
    }
}

/// Where consensus is; None while a change is under way, or when this member does not lead.
fn now(member: &Member) -> Option<Now> {
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = &metrics.membership_config;
    if membership.log_id() != metrics.committed_membership_config.log_id() {
        return None;
    }
    let replication = metrics.replication.as_ref()?;
    let last = metrics.last_log_index.unwrap_or(0);
    let near = |matched: u64| matched + change::IN_SYNC_ENTRIES_MAX >= last;
    let caught_up = replication.iter().filter(|(_, matched)| matched.as_ref().is_some_and(|id| near(id.index)));
    Some(Now {
        own: member.own_id(),
        joint: membership.membership().get_joint_config().len() > 1,
        voters: membership.voter_ids().collect(),
        nodes: membership.nodes().map(|(id, ())| *id).collect(),
        caught_up: caught_up.map(|(id, _)| *id).collect(),
    })
}
