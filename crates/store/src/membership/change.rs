//! Changes of the list of members, as clients ask for them: checked by the leader, then proposed.

use std::time::Duration;

use keelson_proto::keelson::raft::v1 as proto;
use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{ClusterState, MemberRecord, command};
use openraft::async_runtime::watch::WatchReceiver as _;
use proto::MemberStatusResponse;
use proto::change_members_request::Change;
use tokio::time::Instant;
use tonic::Code;

use crate::apply::quorum;
use crate::member::Member;
use crate::raft::types::StoredMembership;
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
    founded(
        || !member.reader.cluster().members.is_empty(),
        || member.now_leadership().leading && Instant::now() < deadline,
    )
    .await?;
    if let Some(reason) = refuses(member, &change).await {
        return Ok(Err(reason));
    }
    let strict = member.options.strict_reconfiguration;
    if let Change::Remove(remove) = &change
        && remove.id == member.own_id()
        && goes_by_another(&member.reader.cluster().members, remove.id, member.voters().len(), strict)
    {
        // Whoever leads next sees it out: a leader that has gone cannot tell when consensus does without it.
        if let Err(error) = member.transfer_leadership(None, HAND_OVER_TIMEOUT).await {
            tracing::warn!(%error, "leadership could not be handed over before this member is removed");
        }
        return Err(Error::NotLeader);
    }
    let command = match change.clone() {
        Change::Add(mut add) => {
            add.strict = strict;
            command::Command::MemberAdd(add)
        }
        Change::Remove(mut remove) => {
            remove.strict = strict;
            command::Command::MemberRemove(remove)
        }
        Change::Update(update) => command::Command::MemberUpdate(update),
        Change::Promote(mut promote) => {
            promote.strict = strict;
            command::Command::MemberPromote(promote)
        }
    };
    let cluster = match handle::cluster::change(member, command).await {
        Ok(cluster) => cluster,
        Err(error) => return reason_of(&error).map(Err).ok_or(error),
    };
    while !is_followed(member, &change).await {
        if Instant::now() >= deadline {
            // The list has changed, and consensus goes on following it.
            return Err(Error::Unknown);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Ok(cluster))
}

/// Waits until the founders are listed, which a new cluster's leader does first: whoever were added before would be taken for all that
/// there are.
async fn founded(listed: impl Fn() -> bool, may_wait: impl Fn() -> bool) -> Result<(), Error> {
    while !listed() {
        if !may_wait() {
            return Err(Error::NotLeader);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether the removal of the leader `id` is for another leader to see to: somebody else can lead.
fn goes_by_another(listed: &[MemberRecord], id: u64, voters: usize, strict: bool) -> bool {
    // What apply will refuse costs no leader.
    voters > 1 && (!strict || quorum::allows_without(listed, id))
}

/// Whether consensus has followed a change of the list as far as who asked for it relies on that.
async fn is_followed(member: &Member, change: &Change) -> bool {
    match change {
        Change::Remove(remove) => is_out(member, remove.id).await,
        Change::Promote(promote) => votes(member, promote.id),
        // A member that was added votes once it has come and caught up.
        Change::Add(_) | Change::Update(_) => true,
    }
}

fn id_of(change: &Change) -> u64 {
    match change {
        Change::Add(add) => add.id,
        Change::Remove(remove) => remove.id,
        Change::Update(update) => update.id,
        Change::Promote(promote) => promote.id,
    }
}

/// Whether consensus does without `id`. Who is out itself hears that from others: the next leader needs its vote until it has
/// changed consensus, and who were told before could take that vote away.
async fn is_out(member: &Member, id: u64) -> bool {
    if id == member.own_id() {
        return !member.leads() && super::removed(member).await;
    }
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    is_in_neither(id, &metrics.committed_membership_config, &metrics.membership_config)
}

/// What is committed may have a member no more that a change under way needs, and the other way round.
fn is_in_neither(id: u64, committed: &StoredMembership, newest: &StoredMembership) -> bool {
    [committed, newest].into_iter().all(|membership| membership.nodes().all(|(found, ())| *found != id))
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
            let asked = stay.iter().map(|voter| ask(member, *voter));
            let heard = futures::future::join_all(asked).await;
            (voter && !can_decide(&heard, cluster.members.len())).then_some(Reason::Unhealthy)
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

/// What a voter says now, if it does. What was heard of it before says too little: a change that it is needed for would hold
/// everything up until it is back.
async fn ask(member: &Member, id: u64) -> Option<MemberStatusResponse> {
    if id == member.own_id() {
        return Some(member.status_response());
    }
    let mut client = member.peers.get(id)?.questions();
    let asked = client.member_status(proto::MemberStatusRequest { asking_member_id: member.own_id() });
    Some(tokio::time::timeout(ANSWER_TIMEOUT, asked).await.ok()?.ok()?.into_inner())
}

/// Whether the voters that stay when one is removed, as many as `listed` members with it at most, can decide anything by
/// what was `heard` of each: one that lost its disk answers, but may not vote before all others have told it what they know.
fn can_decide(heard: &[Option<MemberStatusResponse>], listed: usize) -> bool {
    if heard.is_empty() {
        // Another one may be listed that cannot vote yet; without another one, apply refuses.
        return listed <= 1;
    }
    let voices = heard.iter().flatten().filter(|status| !status.voiceless).count();
    voices >= quorum::of(heard.len())
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::Membership;

    use super::*;
    use crate::raft::types::log_id;

    #[tokio::test(start_paused = true)]
    async fn a_change_waits_until_the_founders_are_listed() {
        let looks = Cell::new(0);
        let listed = || {
            looks.set(looks.get() + 1);
            looks.get() > 3
        };
        let begun = Instant::now();
        founded(listed, || true).await.expect("they are listed");
        assert_eq!((looks.get(), begun.elapsed()), (4, PAUSE * 3));
        founded(|| true, || false).await.expect("they are listed already");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_for_another_leader_when_this_one_does_not_list_the_founders() {
        let left = Cell::new(3);
        let may_wait = || left.replace(left.get() - 1) > 0;
        assert!(matches!(founded(|| false, may_wait).await, Err(Error::NotLeader)));
    }

    fn said(voiceless: bool) -> Option<MemberStatusResponse> {
        Some(MemberStatusResponse { voiceless, ..MemberStatusResponse::default() })
    }

    #[test]
    fn those_who_stay_must_be_able_to_vote_not_only_to_answer() {
        let (voice, voiceless) = (said(false), said(true));
        assert!(can_decide(&[voice.clone(), voice.clone()], 3));
        assert!(!can_decide(&[voice.clone(), voiceless.clone()], 3), "that one would need the vote of the other");
        assert!(!can_decide(&[voice.clone(), None], 3));
        assert!(can_decide(&[voice.clone(), voice.clone(), voiceless.clone()], 4));
        assert!(!can_decide(&[voice.clone(), voiceless.clone(), None], 4));
        assert!(can_decide(&[voice], 2));
        assert!(!can_decide(&[voiceless], 2));
        assert!(!can_decide(&[], 2), "who else is listed cannot vote yet");
        assert!(can_decide(&[], 1));
    }

    fn record(id: u64, started: bool) -> MemberRecord {
        let name = if started { format!("m{id}") } else { String::new() };
        MemberRecord { id, name, ..MemberRecord::default() }
    }

    #[test]
    fn a_leader_that_is_to_go_leaves_that_to_the_next_unless_it_would_be_refused() {
        let two = [record(1, true), record(2, true)];
        assert!(goes_by_another(&two, 1, 2, true));
        assert!(!goes_by_another(&two, 1, 1, true), "nobody else votes yet");
        let half = [record(1, true), record(2, false)];
        assert!(!goes_by_another(&half, 1, 2, true));
        assert!(goes_by_another(&half, 1, 2, false));
    }

    #[test]
    fn a_removal_is_over_when_neither_membership_has_the_member() {
        let stored = |index: u64, ids: &[u64]| {
            let ids: BTreeSet<u64> = ids.iter().copied().collect();
            let nodes: BTreeMap<u64, ()> = ids.iter().map(|id| (*id, ())).collect();
            StoredMembership::new(Some(log_id(1, index)), Membership::new(vec![ids], nodes).expect("a membership"))
        };
        let (before, after) = (stored(1, &[1, 2]), stored(2, &[1]));
        assert!(!is_in_neither(2, &before, &before));
        assert!(!is_in_neither(2, &before, &after), "the change may not be committed, and needs its vote until then");
        assert!(!is_in_neither(2, &after, &before), "a later change may have it again");
        assert!(is_in_neither(2, &after, &after));
    }
}
