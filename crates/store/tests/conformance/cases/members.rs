//! The list of members of a cluster of one: what changes it, and what may not.

use keelson_proto::etcdserverpb::cluster_client::ClusterClient;
use keelson_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
};

use crate::run::{Run, text};

/// Members without their ids and addresses; those that have not started have no name.
fn listed(members: &[Member]) -> String {
    let one = |member: &Member| {
        let learner = if member.is_learner { " learner" } else { "" };
        format!("{:?} peer {} client {}{learner}", member.name, member.peer_ur_ls.len(), member.client_ur_ls.len())
    };
    let mut members: Vec<String> = members.iter().map(one).collect();
    members.sort_unstable();
    format!("{members:?}")
}

/// etcd loses a change that is proposed before the one before is behind it, and never answers. A write is behind both.
async fn between(run: &mut Run) {
    run.put("members/between", "1").await;
}

pub async fn all(run: &mut Run) {
    run.group("cluster").await;
    let mut cluster = ClusterClient::new(run.wire.clone());
    for linearizable in [true, false] {
        between(run).await;
        let answer = cluster.member_list(MemberListRequest { linearizable }).await;
        let name = if linearizable { "list" } else { "list of this member" };
        run.note(name, text(answer, |response| listed(&response.members)));
    }
    let own = cluster.member_list(MemberListRequest { linearizable: true }).await.expect("a list").into_inner().members;
    let own = own.into_iter().next().expect("one member");
    let add = |urls: &[&str], is_learner: bool| MemberAddRequest {
        peer_ur_ls: urls.iter().map(|url| (*url).to_owned()).collect(),
        is_learner,
    };
    for (name, urls) in [
        ("add without an address", &[][..]),
        ("add an address that is none", &["no address"]),
        ("add an address without a scheme", &["127.0.0.1:1"]),
        ("add an address without a port", &["http://127.0.0.1"]),
        ("add an address with a path", &["http://127.0.0.1:1/path"]),
        ("add an address that is taken", &[own.peer_ur_ls[0].as_str()]),
    ] {
        between(run).await;
        let answer = cluster.member_add(add(urls, true)).await;
        run.note(name, text(answer, |response| listed(&response.members)));
    }
    between(run).await;
    let twice = cluster.member_add(add(&["http://127.0.0.1:4", "http://127.0.0.1:4"], true)).await;
    let id = twice.as_ref().ok().and_then(|response| response.get_ref().member.as_ref()).map(|member| member.id);
    run.note("add a learner at an address that is given twice", text(twice, |response| listed(&response.members)));
    if let Some(id) = id {
        between(run).await;
        cluster.member_remove(MemberRemoveRequest { id }).await.expect("it is removed");
    }
    between(run).await;
    let added = cluster.member_add(add(&["http://127.0.0.1:1"], true)).await;
    let learner =
        added.as_ref().ok().and_then(|response| response.get_ref().member.as_ref()).map_or(0, |member| member.id);
    run.note("add a learner", text(added, |response| listed(&response.members)));
    between(run).await;
    let answer = cluster.member_add(add(&["http://127.0.0.1:2"], true)).await;
    run.note("add a second learner", text(answer, |response| listed(&response.members)));
    for (name, id) in [("a learner that never started", learner), ("a voter", own.id), ("an unknown member", 1)] {
        between(run).await;
        let answer = cluster.member_promote(MemberPromoteRequest { id }).await;
        run.note(format!("promote {name}"), text(answer, |response| listed(&response.members)));
    }
    for (name, id, url) in [
        ("an unknown member", 1, "http://127.0.0.1:3"),
        ("a learner to an address that is taken", learner, own.peer_ur_ls[0].as_str()),
    ] {
        between(run).await;
        let answer = cluster.member_update(MemberUpdateRequest { id, peer_ur_ls: vec![url.to_owned()] }).await;
        run.note(format!("update {name}"), text(answer, |response| listed(&response.members)));
    }
    between(run).await;
    let answer = cluster.member_remove(MemberRemoveRequest { id: 1 }).await;
    run.note("remove an unknown member", text(answer, |response| listed(&response.members)));
    // What is no address would end etcd.
    let update = MemberUpdateRequest { id: learner, peer_ur_ls: vec!["http://127.0.0.1:3".to_owned()] };
    between(run).await;
    let answer = cluster.member_update(update).await;
    run.note("update a learner", text(answer, |response| listed(&response.members)));
    for (name, id) in [("a learner", learner), ("it again", learner)] {
        between(run).await;
        let answer = cluster.member_remove(MemberRemoveRequest { id }).await;
        run.note(format!("remove {name}"), text(answer, |response| listed(&response.members)));
    }
    between(run).await;
    let answer = cluster.member_promote(MemberPromoteRequest { id: learner }).await;
    run.note("promote a member that was removed", text(answer, |response| listed(&response.members)));
    between(run).await;
    let answer = cluster.member_list(MemberListRequest { linearizable: true }).await;
    run.note("what is left", text(answer, |response| listed(&response.members)));
}
