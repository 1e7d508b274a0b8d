//! MembersFound: writes the founders down, once.

use keelson_proto::keelson::store::v1::MembersFound;

use super::ClusterAnswer;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: MembersFound) -> ClusterAnswer {
    // A leader proposes it until it sees it applied, and so may its successor.
    if !context.cluster().members.is_empty() {
        return Ok(context.cluster_unchanged());
    }
    Ok(context.change_cluster(|cluster| {
        cluster.members = request.members;
        cluster.members.sort_unstable_by_key(|member| member.id);
    }))
}
