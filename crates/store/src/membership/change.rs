//! Changes of the list of members, as clients ask for them: checked by the leader, then proposed.

use std::time::Duration;

use keelson_proto::keelson::raft::v1 as proto;
use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{ClusterState, command};
use openraft::async_runtime::watch::WatchReceiver as _;
use proto::change_members_request::Change;
use tokio::time::Instant;
use tonic::Code;

use crate::apply::quorum;
use crate::member::Member;
use crate::{Error, handle};

/// A learner that lacks no more entries than this is in sync: it has them before anybody could count the difference.
pub(super) const IN_SYNC_ENTRIES_MAX: u64 = 1000;
/// A voter that does not say how it is by then does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the next leader may take, when this one is asked to remove itself.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often is looked whether consensus has followed.
const PAUSE: Duration = Duration::from_millis(20);

/// Changes the list wherever the leader is; gives it after the change.
///
/// # Errors
/// The refusal; `NoLeader` when there was none in time; `Unknown` when the leader went away with it.
pub(crate) async fn change(member: &Member, change: Change) -> Result<ClusterState, Error> {
    use proto::change_members_response::Outcome;
    let deadline = member.deadline();
    loop {
        match member.now_leadership().leader_id {
            Some(leader) if leader == member.own_id() => match change_here(member, change.clone()).await {
                Err(Error::NotLeader) => {}
                Err(error) => return Err(error),
                Ok(outcome) => return outcome.map_err(refused),
            },
            Some(leader) => {
                if let Some(peer) = member.peers.get(leader) {
                    let request = proto::ChangeMembersRequest { change: Some(change.clone()) };
                    match tokio::time::timeout_at(deadline, peer.forwards().change_members(request)).await {
                        Ok(Ok(response)) => match response.into_inner().outcome {
                            Some(Outcome::Cluster(cluster)) => return Ok(cluster),
                            Some(Outcome::Refusal(refusal)) => return Err(refusal.into()),
                            None => return Err(Error::Internal("an empty answer".to_owned())),
                        },
                        Ok(Err(status)) if status.code() == Code::FailedPrecondition => {}
                        Ok(Err(_)) | Err(_) => return Err(Error::Unknown),
                    }
                }
            }
            None => {}
        }
        if Instant::now() >= deadline {
            return Err(Error::NoLeader);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn refused(reason: Reason) -> Error {
    keelson_proto::keelson::store::v1::Refusal { reason: reason.into(), ..Default::default() }.into()
}

/// As [`change`] on the leader.
///
/// # Errors
/// [`Error::NotLeader`] when nothing was proposed; those of every write.
pub(crate) async fn change_here(member: &Member, change: Change) -> Result<Result<ClusterState, Reason>, Error> {
    if !member.now_leadership().leading {
        return Err(Error::NotLeader);
    }
    let deadline = member.deadline();
    member.barrier(deadline).await?;
    founded(member, deadline).await?;
    if let Some(reason) = refuses(member, &change).await {
        return Ok(Err(reason));
    }
    let strict = member.options.strict_reconfiguration;
    if let Change::Remove(remove) = &change
        && goes_by_another(member, remove.id)
    {
        // Whoever leads next sees it out: a leader that has gone cannot tell when consensus does without it.
        if let Err(error) = member.transfer_leadership(None, HAND_OVER_TIMEOUT).await {
            tracing::warn!(%error, "leadership could not be handed over before this member is removed");
        }
        return Err(Error::NotLeader);
    }
    let (command, done): (_, Option<Condition>) = match change.clone() {
        Change::Add(mut add) => {
            add.strict = strict;
            (command::Command::MemberAdd(add), None)
        }
        Change::Remove(mut remove) => {
            remove.strict = strict;
            (command::Command::MemberRemove(remove), Some(is_out))
        }
        Change::Update(update) => (command::Command::MemberUpdate(update), None),
        Change::Promote(mut promote) => {
            promote.strict = strict;
            (command::Command::MemberPromote(promote), Some(votes))
        }
    };
    let cluster = match handle::cluster::change(member, command).await {
        Ok(cluster) => cluster,
        Err(error) => return reason_of(&error).map(Err).ok_or(error),
    };
    if let Some(done) = done {
        let id = id_of(&change);
        while !done(member, id) {
            if Instant::now() >= deadline {
                // The list has changed, and consensus goes on following it.
                return Err(Error::Unknown);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(Ok(cluster))
}

/// Waits until the founders are listed, which a new cluster's leader does first: whoever were added before would be taken for all that
/// there are.
async fn founded(member: &Member, deadline: Instant) -> Result<(), Error> {
    while member.reader.cluster().members.is_empty() {
        if !member.now_leadership().leading || Instant::now() >= deadline {
            return Err(Error::NotLeader);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether the removal of `id` is for another leader to see to: this one goes, and somebody else can lead.
fn goes_by_another(member: &Member, id: u64) -> bool {
    let allowed = quorum::allows_without(&member.reader.cluster().members, id);
    // What apply will refuse costs no leader.
    id == member.own_id() && member.voters().len() > 1 && (allowed || !member.options.strict_reconfiguration)
}

/// Whether consensus has followed the list, as far as this member knows.
type Condition = fn(&Member, u64) -> bool;

fn id_of(change: &Change) -> u64 {
    match change {
        Change::Add(add) => add.id,
        Change::Remove(remove) => remove.id,
        Change::Update(update) => update.id,
        Change::Promote(promote) => promote.id,
    }
}

/// Whether consensus does without `id`; this member may be the one that is out, and then hears no more than that another
/// one leads.
fn is_out(member: &Member, id: u64) -> bool {
    if id == member.own_id() {
        return !member.leads();
    }
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    let has = |mut ids: Box<dyn Iterator<Item = u64> + '_>| ids.any(|found| found == id);
    !has(Box::new(metrics.committed_membership_config.nodes().map(|(id, ())| *id)))
        && !has(Box::new(metrics.membership_config.nodes().map(|(id, ())| *id)))
}

/// Whether consensus counts the vote of `id`.
fn votes(member: &Member, id: u64) -> bool {
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.committed_membership_config.membership();
    membership.get_joint_config().len() == 1 && membership.voter_ids().any(|voter| voter == id)
}

/// What only the leader can see: who answers, and who lags.
async fn refuses(member: &Member, change: &Change) -> Option<Reason> {
    let cluster = member.reader.cluster();
    let record = cluster.members.iter().find(|record| record.id == id_of(change));
    match change {
        Change::Promote(promote) => {
            let record = record.filter(|record| record.learner)?;
            let ready = !record.name.is_empty() && in_sync(member, promote.id);
            (!ready).then_some(Reason::LearnerNotReady)
        }
        Change::Remove(remove) if member.options.strict_reconfiguration => {
            record?;
            let voters = member.voters();
            let voter = voters.contains(&remove.id);
            let stay: Vec<u64> = voters.into_iter().filter(|voter| *voter != remove.id).collect();
            let asked = stay.iter().map(|voter| answers(member, *voter));
            let answer = futures::future::join_all(asked).await.into_iter().filter(|answered| *answered).count();
            // Another one may be listed that cannot vote yet; without another one, apply refuses.
            let last = stay.is_empty() && cluster.members.len() > 1;
            let cut_off = !stay.is_empty() && answer < quorum::of(stay.len());
            (voter && (last || cut_off)).then_some(Reason::Unhealthy)
        }
        Change::Add(_) | Change::Update(_) | Change::Remove(_) => None,
    }
}

fn in_sync(member: &Member, id: u64) -> bool {
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    let matched = metrics.replication.as_ref().and_then(|replication| *replication.get(&id)?);
    matched.is_some_and(|found| found.index + IN_SYNC_ENTRIES_MAX >= metrics.last_log_index.unwrap_or(0))
}

/// Whether a voter answers now, and may vote. What was heard of it before says too little: a change that it is needed for would hold
/// everything up until it is back.
async fn answers(member: &Member, id: u64) -> bool {
    if id == member.own_id() {
        return true;
    }
    let Some(peer) = member.peers.get(id) else { return false };
    let mut client = peer.questions();
    let asked = client.member_status(proto::MemberStatusRequest { asking_member_id: member.own_id() });
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|status| !status.get_ref().voiceless))
}

/// The refusal of apply behind an error, if it is one.
fn reason_of(error: &Error) -> Option<Reason> {
    Some(match error {
        Error::MemberNotFound => Reason::MemberNotFound,
        Error::MemberExists => Reason::MemberExists,
        Error::PeerUrlExists => Reason::PeerUrlExists,
        Error::NotEnoughStarted => Reason::NotEnoughStarted,
        Error::TooManyLearners => Reason::TooManyLearners,
        Error::NotALearner => Reason::NotALearner,
        _ => return None,
    })
}
