//! MemberRemove: removes a member, for ever. Its alarms go with it.

use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{MemberRecord, MemberRemove};

use super::context::Context;
use super::{ClusterAnswer, quorum};

/// Removed members whose addresses are kept. Consensus does without one moments after its removal.
const REACHED_MAX: usize = 16;

pub(super) fn apply(context: &mut Context<'_>, request: &MemberRemove) -> ClusterAnswer {
    let MemberRemove { id, strict } = *request;
    let members = &context.cluster().members;
    let Some(member) = members.iter().find(|member| member.id == id) else { return Err(Reason::MemberNotFound) };
    let voters = members.iter().filter(|member| !member.learner).count();
    let last = !member.learner && voters == 1;
    if last || (strict && !member.learner && !quorum::allows_without(members, id)) {
        return Err(Reason::NotEnoughStarted);
    }
    Ok(context.change_cluster(|cluster| {
        let (gone, stay) = std::mem::take(&mut cluster.members).into_iter().partition(|member| member.id == id);
        cluster.members = stay;
        let gone: Vec<MemberRecord> = gone;
        cluster.removed.extend(gone);
        let forgotten = cluster.removed.len().saturating_sub(REACHED_MAX);
        cluster.removed.drain(..forgotten);
        cluster.alarms.retain(|alarm| alarm.member_id != id);
        cluster.removed_ids.push(id);
    }))
}
