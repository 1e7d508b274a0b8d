//! MemberPublish: a member has started, and says its name and where clients reach it.

use keelson_proto::keelson::store::v1::MemberPublish;

use super::ClusterAnswer;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: MemberPublish) -> ClusterAnswer {
    let Some(place) = context.cluster().members.iter().position(|member| member.id == request.id) else {
        // It was removed meanwhile, and learns that in another way.
        return Ok(context.cluster_unchanged());
    };
    Ok(context.change_cluster(|cluster| {
        let member = &mut cluster.members[place];
        (member.name, member.client_urls) = (request.name, request.client_urls);
    }))
}
