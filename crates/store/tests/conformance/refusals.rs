//! Requests that end a member of etcd, or that have no sense: a member here refuses them, and goes on.
//!
//! They are not cases, since there is no etcd left to compare with after some of them.

use std::collections::BTreeSet;

use keelson_proto::authpb::{Permission, permission};
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::cluster_client::ClusterClient;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget};
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{
    AlarmRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest,
    CompactionRequest, Compare, DowngradeRequest, HashKvRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, MoveLeaderRequest, RangeRequest, RequestOp, TxnRequest,
};

use crate::run::{Run, done, put, range};
use crate::servers;

/// What was asked, and what the answer was.
type Asked = Vec<(String, String)>;

/// The member must answer after each request, whatever that one's answer was.
async fn lives(run: &mut Run, asked: &mut Asked, name: &str, answer: String) {
    let after = run.kv.put(put("refusals/alive", name)).await;
    assert!(after.is_ok(), "after {name}, which got {answer:?}: {after:?}");
    asked.push((name.to_owned(), answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_ends_a_member() {
    let [keelson] = servers::keelson().await;
    let mut run = Run::new(&keelson).await;
    let mut asked = Asked::new();
    keys(&mut run, &mut asked).await;
    cluster(&mut run, &mut asked).await;
    maintenance(&mut run, &mut asked).await;
    roles(&mut run, &mut asked).await;
    let names: BTreeSet<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), asked.len(), "names are unique");
    for (name, expected) in REFUSED {
        let answer = asked.iter().find(|(asked, _)| asked == name).map(|(_, answer)| answer.as_str());
        assert_eq!(answer, Some(*expected), "{name}");
    }
    let taken: Vec<&str> = asked.iter().filter(|(_, answer)| answer == "done").map(|(name, _)| name.as_str()).collect();
    assert_eq!(taken, TAKEN);
}

/// Those that would end etcd, and those whose words are known.
const REFUSED: &[(&str, &str)] = &[
    ("a version that is no text", r#"InvalidArgument "etcdserver: invalid client api version""#),
    ("an unknown target to sort by", r#"InvalidArgument "etcdserver: invalid sort option""#),
    ("an unknown target to sort by in a transaction", r#"InvalidArgument "etcdserver: invalid sort option""#),
    ("a compaction of less than nothing", r#"OutOfRange "etcdserver: mvcc: required revision has been compacted""#),
    (
        "a compaction of all that may ever be",
        r#"OutOfRange "etcdserver: mvcc: required revision is a future revision""#,
    ),
    ("an update to what is no address", r#"InvalidArgument "etcdserver: given member URLs are invalid""#),
    ("an update to no address at all", r#"InvalidArgument "etcdserver: given member URLs are invalid""#),
    ("a removal of the only member", r#"Unavailable "etcdserver: unhealthy cluster""#),
    ("a promotion of a voter", r#"FailedPrecondition "etcdserver: can only promote a learner member""#),
    ("an alarm's unknown action", r#"InvalidArgument "keelson: unknown alarm action""#),
    ("an alarm of an unknown kind", r#"InvalidArgument "keelson: unknown alarm type""#),
    ("a downgrade's unknown action", r#"InvalidArgument "keelson: unknown downgrade action""#),
    ("a leader that cannot be", r#"FailedPrecondition "etcdserver: bad leader transferee""#),
    ("a grant of nothing", r#"InvalidArgument "etcdserver: permission not given""#),
    ("a grant of an unknown kind", r#"InvalidArgument "etcdserver: invalid auth management""#),
    ("a grant of a range whose end is before it", r#"InvalidArgument "etcdserver: invalid auth management""#),
];

/// Those that have some sense after all.
const TAKEN: &[&str] = &[
    "a comparison of nothing known",
    "a comparison with nothing",
    "a range of a revision before all",
    "a range of less than nothing",
    "a range of bounds that cross",
    "a compaction of nothing",
    "a compaction of nothing, later",
    "a lease of the least time",
    "a lease of the least id",
    "the time of the least lease",
    "the end of the least lease",
    "an update to an address with a user",
    "an update to an address without a host",
    "an update of a learner to where nobody is",
    "an update of the only voter to where nobody is",
    "a removal of a learner that never came",
    "an alarm of no kind",
    "a checksum of the least",
];

async fn keys(run: &mut Run, asked: &mut Asked) {
    let mut request = tonic::Request::new(range("a", ""));
    request.metadata_mut().insert("client-api-version", b"3.5\xff"[..].try_into().expect("a header's value"));
    let answer = done(run.kv.range(request).await);
    lives(run, asked, "a version that is no text", answer).await;
    let sorted = RangeRequest { sort_target: 9, sort_order: 1, ..range("a", "z") };
    let answer = done(run.kv.range(sorted.clone()).await);
    lives(run, asked, "an unknown target to sort by", answer).await;
    let sorted = RequestOp { request: Some(Op::RequestRange(sorted)) };
    let write = RequestOp { request: Some(Op::RequestPut(put("a", "1"))) };
    let unknown = Compare { key: "a".into(), target: 9, result: 9, ..Default::default() };
    let untold = Compare {
        key: "a".into(),
        target: CompareTarget::Value.into(),
        result: CompareResult::Equal.into(),
        ..Default::default()
    };
    for (name, compare, success) in [
        ("an unknown target to sort by in a transaction", vec![], vec![write.clone(), sorted]),
        ("a transaction of an operation that is none", vec![], vec![write.clone(), RequestOp { request: None }]),
        ("a comparison of nothing known", vec![unknown], vec![write.clone()]),
        ("a comparison with nothing", vec![untold], vec![write]),
    ] {
        let answer = done(run.kv.txn(TxnRequest { compare, success, ..Default::default() }).await);
        lives(run, asked, name, answer).await;
    }
    for (name, request) in [
        ("a range of a revision before all", RangeRequest { revision: i64::MIN, ..range("a", "z") }),
        ("a range of the last revision", RangeRequest { revision: i64::MAX, ..range("a", "z") }),
        ("a range of less than nothing", RangeRequest { limit: i64::MIN, ..range("a", "z") }),
        ("a range of bounds that cross", RangeRequest { min_mod_revision: i64::MAX, ..range("a", "z") }),
    ] {
        let answer = done(run.kv.range(request).await);
        lives(run, asked, name, answer).await;
    }
    for (name, revision) in [
        ("a compaction of nothing", 0),
        ("a compaction of less than nothing", -1),
        ("a compaction of the least", i64::MIN),
        ("a compaction of all that may ever be", i64::MAX),
    ] {
        for physical in [true, false] {
            let answer = done(run.kv.compact(CompactionRequest { revision, physical }).await);
            let name = if physical { name.to_owned() } else { format!("{name}, later") };
            lives(run, asked, &name, answer).await;
        }
    }
    for (name, id, ttl) in [
        ("a lease of the least time", 1, i64::MIN),
        ("a lease of all time", 2, i64::MAX),
        ("a lease of the least id", i64::MIN, 600),
    ] {
        let answer = done(run.lease.lease_grant(LeaseGrantRequest { id, ttl }).await);
        lives(run, asked, name, answer).await;
    }
    let answer = done(run.lease.lease_time_to_live(LeaseTimeToLiveRequest { id: i64::MIN, keys: true }).await);
    lives(run, asked, "the time of the least lease", answer).await;
    let answer = done(run.lease.lease_revoke(LeaseRevokeRequest { id: i64::MIN }).await);
    lives(run, asked, "the end of the least lease", answer).await;
}

async fn cluster(run: &mut Run, asked: &mut Asked) {
    let mut cluster = ClusterClient::new(run.wire.clone());
    let members = cluster.member_list(MemberListRequest { linearizable: true }).await.expect("a list").into_inner();
    let own = members.members.first().expect("a member").id;
    let urls = |url: &str| vec![url.to_owned()];
    let added = MemberAddRequest { peer_ur_ls: urls("http://127.0.0.1:1"), is_learner: true };
    let learner = cluster.member_add(added).await.expect("a learner").into_inner().member.expect("a member").id;
    for (name, id, peer_ur_ls) in [
        ("an update to what is no address", own, urls("nothing")),
        ("an update of a learner to what is no address", learner, urls("nothing")),
        ("an update to an address with a user", learner, urls("http://a:b@127.0.0.1:1")),
        ("an update to an address without a host", learner, urls("http://:1")),
        ("an update to an address of another kind", learner, urls("unix://localhost:1")),
        ("an update to no address at all", own, vec![]),
        ("an update to too many addresses", own, vec!["http://127.0.0.1:1".to_owned(); 1000]),
        ("an update to a very long address", own, urls(&format!("http://{}:1", "a".repeat(100_000)))),
        ("an update of a learner to where nobody is", learner, urls("http://127.0.0.1:2")),
        ("an update of the only voter to where nobody is", own, urls("http://127.0.0.1:3")),
    ] {
        let answer = done(cluster.member_update(MemberUpdateRequest { id, peer_ur_ls }).await);
        lives(run, asked, name, answer).await;
    }
    for (name, id) in [("a promotion of a voter", own), ("a promotion of one that never came", learner)] {
        let answer = done(cluster.member_promote(MemberPromoteRequest { id }).await);
        lives(run, asked, name, answer).await;
    }
    let twice = MemberAddRequest { peer_ur_ls: vec!["http://127.0.0.1:4".to_owned(); 2], is_learner: true };
    let answer = done(cluster.member_add(twice).await);
    lives(run, asked, "a second learner, at an address that is given twice", answer).await;
    for (name, id) in [
        ("a removal of the only member", own),
        ("a removal of a learner that never came", learner),
        ("a removal of nobody", 0),
    ] {
        let answer = done(cluster.member_remove(MemberRemoveRequest { id }).await);
        lives(run, asked, name, answer).await;
    }
}

async fn maintenance(run: &mut Run, asked: &mut Asked) {
    let mut client = MaintenanceClient::new(run.wire.clone());
    for (name, action, alarm) in
        [("an alarm's unknown action", 9, 1), ("an alarm of an unknown kind", 1, 9), ("an alarm of no kind", 1, 0)]
    {
        let answer = done(client.alarm(AlarmRequest { action, member_id: u64::MAX, alarm }).await);
        lives(run, asked, name, answer).await;
    }
    let answer = done(client.downgrade(DowngradeRequest { action: 9, version: "3.5".to_owned() }).await);
    lives(run, asked, "a downgrade's unknown action", answer).await;
    for (name, target_id) in [("a leader that cannot be", u64::MAX), ("a leader that is nobody", 0)] {
        let answer = done(client.move_leader(MoveLeaderRequest { target_id }).await);
        lives(run, asked, name, answer).await;
    }
    for (name, revision) in [("a checksum of the least", i64::MIN), ("a checksum of the last", i64::MAX)] {
        let answer = done(client.hash_kv(HashKvRequest { revision }).await);
        lives(run, asked, name, answer).await;
    }
}

async fn roles(run: &mut Run, asked: &mut Asked) {
    let mut client = AuthClient::new(run.wire.clone());
    client.role_add(AuthRoleAddRequest { name: "odd".to_owned() }).await.expect("a role");
    let of = |perm_type: i32, key: &str, range_end: &str| {
        Some(Permission { perm_type, key: key.to_owned().into(), range_end: range_end.to_owned().into() })
    };
    let read = permission::Type::Read as i32;
    for (name, perm) in [
        ("a grant of nothing", None),
        ("a grant of an unknown kind", of(7, "a", "b")),
        ("a grant of a range whose end is before it", of(read, "b", "a")),
        ("a grant of an empty range", of(read, "a", "a")),
    ] {
        let request = AuthRoleGrantPermissionRequest { name: "odd".to_owned(), perm };
        let answer = done(client.role_grant_permission(request).await);
        lives(run, asked, name, answer).await;
    }
    let request = AuthRoleRevokePermissionRequest { role: "odd".to_owned(), key: "b".into(), range_end: "a".into() };
    let answer = done(client.role_revoke_permission(request).await);
    lives(run, asked, "a revocation of a range whose end is before it", answer).await;
}
