//! MemberPromote: gives a learner a vote. Whether it has caught up is for the leader to say, before it proposes this.

use keelson_proto::keelson::store::v1::MemberPromote;
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::context::Context;
use super::{ClusterAnswer, quorum};

pub(super) fn apply(context: &mut Context<'_>, request: &MemberPromote) -> ClusterAnswer {
    let MemberPromote { id, strict } = *request;
    let members = &context.cluster().members;
    let Some(place) = members.iter().position(|member| member.id == id) else { return Err(Reason::MemberNotFound) };
    if !members[place].learner {
        return Err(Reason::NotALearner);
    }
    if strict && !quorum::allows_promotion(members, id) {
        return Err(Reason::NotEnoughStarted);
    }
    Ok(context.change_cluster(|cluster| cluster.members[place].learner = false))
}
