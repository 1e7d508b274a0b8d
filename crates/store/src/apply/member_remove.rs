//! MemberRemove: removes a member, for ever. Its alarms go with it.

use keelson_proto::keelson::store::v1::MemberRemove;
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::context::Context;
use super::{ClusterAnswer, quorum};

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
        cluster.members.retain(|member| member.id != id);
        cluster.alarms.retain(|alarm| alarm.member_id != id);
        cluster.removed_ids.push(id);
    }))
}
