//! MemberUpdate: says where other members reach a member from now on. Nothing else about it changes.

use keelson_proto::keelson::store::v1::MemberUpdate;
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::ClusterAnswer;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: MemberUpdate) -> ClusterAnswer {
    let members = &context.cluster().members;
    let Some(place) = members.iter().position(|member| member.id == request.id) else {
        return Err(Reason::MemberNotFound);
    };
    let mut others = members.iter().filter(|member| member.id != request.id);
    if others.any(|member| member.peer_urls.iter().any(|url| request.peer_urls.contains(url))) {
        return Err(Reason::PeerUrlExists);
    }
    Ok(context.change_cluster(|cluster| {
        let member = &mut cluster.members[place];
        (member.peer_urls, member.moved) = (request.peer_urls, true);
    }))
}
