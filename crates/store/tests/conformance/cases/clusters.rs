//! What takes more than one member.

use keelson_proto::etcdserverpb::cluster_client::ClusterClient;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::{
    DeleteRangeRequest, HashKvRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, MemberListRequest,
    MoveLeaderRequest, StatusRequest, StatusResponse,
};
use tonic::Response;

use super::watches::{Stream, create};
use crate::eventually::eventually;
use crate::run::{Run, done, put, range, text};
use crate::show::Show as _;

const KEY: &str = "three";
const LEASE: i64 = 0x14ab;

/// Cases, and what they gave.
type Seen = Vec<(&'static str, String)>;

/// A member, and the run that speaks to it.
struct Member<'a> {
    run: &'a Run,
    id: u64,
}

/// The first run keeps what the cases give.
pub async fn all(runs: &mut [Run; 3]) {
    runs[0].group("three members").await;
    let seen = eventually("a while without an election", || attempt(runs)).await;
    for (name, text) in seen {
        runs[0].note(name, text);
    }
}

/// None when a leader went away meanwhile, as any may on a busy machine.
async fn attempt(runs: &[Run; 3]) -> Option<Seen> {
    let known = statuses(runs).await;
    let id = |status: &StatusResponse| status.header.as_ref().map(|header| header.member_id);
    let leader = known.iter().position(|status| id(status) == Some(status.leader))?;
    let member = |place: usize| Some(Member { run: &runs[place], id: id(&known[place])? });
    let (one, other, leads) = (member((leader + 1) % 3)?, member((leader + 2) % 3)?, member(leader)?);
    let mut seen = Seen::new();
    keys(&mut seen, &one, &other, &leads).await?;
    refusals(&mut seen, &one, &other, &leads).await;
    let before = statuses(runs).await;
    seen.push(("the leader is moved to a follower", moved(&leads, one.id).await));
    let after = statuses(runs).await;
    seen.push(("all know the new leader", (after[0].leader == one.id).to_string()));
    seen.push(("the former leader is asked to move it", moved(&leads, leads.id).await));
    let last = statuses(runs).await;
    let same_term = |one: &[StatusResponse; 3], other: &[StatusResponse; 3]| one[0].raft_term == other[0].raft_term;
    let calm = same_term(&known, &before) && same_term(&after, &last) && after[0].leader == one.id;
    let answered = seen.iter().all(|(_, text)| !text.starts_with("Unavailable"));
    (calm && answered).then_some(seen)
}

/// What members say of themselves, as soon as they all know the same leader of the same term.
async fn statuses(runs: &[Run; 3]) -> [StatusResponse; 3] {
    eventually("a leader that all know", || async {
        let asked = runs.each_ref().map(|run| {
            let mut client = MaintenanceClient::new(run.wire.clone());
            async move { client.status(StatusRequest {}).await.ok().map(Response::into_inner) }
        });
        let answers: Option<Vec<StatusResponse>> = futures::future::join_all(asked).await.into_iter().collect();
        let answers: [StatusResponse; 3] = answers?.try_into().ok()?;
        let of = |answer: &StatusResponse| (answer.leader, answer.raft_term);
        let agreed = answers.iter().all(|answer| of(answer) == of(&answers[0]));
        (agreed && answers[0].leader != 0).then_some(answers)
    })
    .await
}

async fn moved(asked: &Member<'_>, target_id: u64) -> String {
    done(MaintenanceClient::new(asked.run.wire.clone()).move_leader(MoveLeaderRequest { target_id }).await)
}

async fn keys(seen: &mut Seen, one: &Member<'_>, other: &Member<'_>, leads: &Member<'_>) -> Option<()> {
    let members = ClusterClient::new(one.run.wire.clone()).member_list(MemberListRequest { linearizable: true }).await;
    seen.push((
        "members",
        text(members, |response| {
            let mut names: Vec<String> = response.members.into_iter().map(|member| member.name).collect();
            names.sort_unstable();
            format!("{names:?}")
        }),
    ));
    let delete = DeleteRangeRequest { key: KEY.into(), ..Default::default() };
    let base = one.run.kv.clone().delete_range(delete).await.ok()?.into_inner().header?.revision;
    let mut stream = Stream::open(one.run, create(KEY, "")).await;
    seen.push(("a watch of a follower", stream.next().await.ok()?.show(base)));
    for (name, writer, reader) in [
        ("what a follower wrote is read at another", one, other),
        ("what a follower wrote is read at the leader", other, leads),
        ("what the leader wrote is read at a follower", leads, one),
    ] {
        writer.run.kv.clone().put(put(KEY, name)).await.ok()?;
        seen.push((name, text(reader.run.kv.clone().range(range(KEY, "")).await, |response| response.show(base))));
    }
    let mut events = Vec::new();
    while events.len() < 3 {
        events.extend(stream.next().await.ok()??.events.iter().map(|event| event.show(base)));
    }
    seen.push(("what all wrote is watched at one", events.join(", ")));
    let mut sums = Vec::new();
    for member in [one, other, leads] {
        let request = HashKvRequest { revision: base + 3 };
        let answer = MaintenanceClient::new(member.run.wire.clone()).hash_kv(request).await;
        sums.push(answer.ok()?.into_inner().hash);
    }
    seen.push(("checksums are equal", (sums[0] == sums[1] && sums[1] == sums[2]).to_string()));

    // One of an attempt before may be left.
    drop(one.run.lease.clone().lease_revoke(LeaseRevokeRequest { id: LEASE }).await);
    let granted = one.run.lease.clone().lease_grant(LeaseGrantRequest { id: LEASE, ttl: 600 }).await;
    seen.push(("a lease granted at a follower", text(granted, |response| response.show(base))));
    let request = tokio_stream::iter([LeaseKeepAliveRequest { id: LEASE }]);
    let kept = other.run.lease.clone().lease_keep_alive(request).await.ok()?.into_inner().message().await.ok()??;
    seen.push(("a lease renewed at another", kept.show(base)));
    let revoked = leads.run.lease.clone().lease_revoke(LeaseRevokeRequest { id: LEASE }).await;
    seen.push(("a lease revoked at the leader", text(revoked, |response| response.show(base))));
    Some(())
}

async fn refusals(seen: &mut Seen, one: &Member<'_>, other: &Member<'_>, leads: &Member<'_>) {
    for (name, asked, target_id) in [
        ("a follower is asked to move the leader", one, other.id),
        ("the leader is moved to nobody", leads, 0),
        ("the leader is moved to an unknown member", leads, 1),
        ("the leader is moved to itself", leads, leads.id),
    ] {
        seen.push((name, moved(asked, target_id).await));
    }
}
