//! MemberAdd: adds a member that is yet to start.
//!
//! This is the record; the leader then makes consensus follow it: a voter counts as soon as it has caught up.

use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{ClusterState, MemberAdd, MemberRecord};

use super::context::Context;
use super::{ClusterAnswer, quorum};

/// As in etcd: learners cost the leader's network, and one at a time is enough to grow by.
const LEARNERS_MAX: usize = 1;

pub(super) fn apply(context: &mut Context<'_>, request: MemberAdd) -> ClusterAnswer {
    if let Some(reason) = refuses(context.cluster(), &request) {
        return Err(reason);
    }
    Ok(context.change_cluster(|cluster| {
        let MemberAdd { id, peer_urls, learner, .. } = request;
        // Where it is now is known from here on, whatever other members were started with.
        cluster.members.push(MemberRecord { id, peer_urls, learner, moved: true, ..MemberRecord::default() });
        cluster.members.sort_unstable_by_key(|member| member.id);
    }))
}

fn refuses(cluster: &ClusterState, request: &MemberAdd) -> Option<Reason> {
    let members = &cluster.members;
    if cluster.removed_ids.contains(&request.id) || members.iter().any(|member| member.id == request.id) {
        return Some(Reason::MemberExists);
    }
    if members.iter().any(|member| member.peer_urls.iter().any(|url| request.peer_urls.contains(url))) {
        return Some(Reason::PeerUrlExists);
    }
    if request.learner {
        let learners = members.iter().filter(|member| member.learner).count();
        return (learners >= LEARNERS_MAX).then_some(Reason::TooManyLearners);
    }
    (request.strict && !quorum::allows_another(members)).then_some(Reason::NotEnoughStarted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_wrong_is_refused() {
        let record = |id: u64, learner| MemberRecord {
            id,
            name: format!("m{id}"),
            peer_urls: vec![format!("https://m{id}:2380")],
            learner,
            ..MemberRecord::default()
        };
        let mut cluster = ClusterState {
            members: vec![record(1, false), record(2, true)],
            removed_ids: vec![9],
            ..ClusterState::default()
        };
        let add = |id, url: &str, learner| MemberAdd { id, peer_urls: vec![url.to_owned()], learner, strict: true };
        assert_eq!(refuses(&cluster, &add(3, "https://m3:2380", false)), None);
        assert_eq!(refuses(&cluster, &add(9, "https://m3:2380", false)), Some(Reason::MemberExists));
        assert_eq!(refuses(&cluster, &add(1, "https://m3:2380", false)), Some(Reason::MemberExists));
        assert_eq!(refuses(&cluster, &add(3, "https://m2:2380", false)), Some(Reason::PeerUrlExists));
        assert_eq!(refuses(&cluster, &add(3, "https://m3:2380", true)), Some(Reason::TooManyLearners));
        cluster.members.push(MemberRecord { id: 3, ..MemberRecord::default() });
        assert_eq!(refuses(&cluster, &add(4, "https://m4:2380", false)), Some(Reason::NotEnoughStarted));
        let loose = MemberAdd { strict: false, ..add(4, "https://m4:2380", false) };
        assert_eq!(refuses(&cluster, &loose), None);
    }
}
