//! Other ways to keys than the KV service, with authentication on.

use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    AlarmRequest, AlarmType, AuthRoleAddRequest, AuthUserChangePasswordRequest, LeaseGrantRequest,
    LeaseKeepAliveRequest, PutRequest, WatchCreateRequest, WatchRequest,
};
use keelson_proto::v3electionpb::LeaderRequest;
use keelson_proto::v3lockpb::LockRequest;
use tonic::Code;

use super::guarded::{Guarded, PASSWORD, add_user, auth, token_of, with};
use crate::kv::{put_request, range_request};
use crate::refusal;

#[tokio::test]
async fn who_takes_back_the_alarm_corrupt_can_log_in_for_that() {
    let guarded = Guarded::start().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let alarm = |action: AlarmAction| AlarmRequest {
        action: action.into(),
        member_id: cluster.members[0].handle.member_id(),
        alarm: AlarmType::Corrupt.into(),
    };
    let mut maintenance = cluster.maintenance(0).await;
    maintenance.alarm(with(root, alarm(AlarmAction::Activate))).await.expect("it is raised");
    let put = cluster.kv(0).await.put(with(root, put_request("a", "1"))).await;
    assert_eq!(refusal(put), (Code::DataLoss, "etcdserver: corrupt cluster".to_owned()));
    let token = token_of(&mut auth(cluster, 0).await, "root").await;
    maintenance.alarm(with(&token, alarm(AlarmAction::Deactivate))).await.expect("it is taken back");
    cluster.kv(0).await.put(with(&token, put_request("a", "1"))).await.expect("all is well");
}

#[tokio::test]
async fn a_lease_lives_on_only_by_who_may_write_its_keys() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let user = add_user(&mut auth(cluster, 0).await, root, "keeper", &[(Type::Readwrite, "keeper/", "keeper0")]).await;
    let mut leases = cluster.lease(1).await;
    let granted = leases.lease_grant(with(&user, LeaseGrantRequest { ttl: 600, id: 0 })).await.expect("a lease");
    let id = granted.into_inner().id;
    let own = PutRequest { lease: id, ..put_request("keeper/a", "1") };
    cluster.kv(0).await.put(with(&user, own)).await.expect("its own key");
    let renew = |token: &str| with(token, tokio_stream::iter([LeaseKeepAliveRequest { id }]));
    let renewed = leases.lease_keep_alive(renew(&user)).await.expect("a stream").into_inner().message().await;
    assert_eq!(renewed.expect("an answer").expect("an answer").ttl, 600);

    let secret = PutRequest { lease: id, ..put_request("secret/keeper", "1") };
    cluster.kv(1).await.put(with(root, secret)).await.expect("root may");
    let answer = leases.lease_keep_alive(renew(&user)).await.expect("a stream").into_inner().message().await;
    assert_eq!(answer.expect_err("it is refused").code(), Code::PermissionDenied);
    leases.lease_keep_alive(renew(root)).await.expect("a stream").into_inner().message().await.expect("root may");
}

#[tokio::test]
async fn locks_and_elections_demand_what_their_keys_demand() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let user = add_user(&mut auth(cluster, 0).await, root, "voter", &[(Type::Readwrite, "voter/", "voter0")]).await;
    let denied = (Code::PermissionDenied, "etcdserver: permission denied".to_owned());
    let lock = |name: &str| LockRequest { name: name.to_owned().into(), lease: 0 };
    assert_eq!(refusal(cluster.lock(0).await.lock(with(&user, lock("secret"))).await), denied);
    cluster.lock(0).await.lock(with(&user, lock("voter/lock"))).await.expect("its own lock");
    let leader = |name: &str| LeaderRequest { name: name.to_owned().into() };
    let mut election = cluster.election(0).await;
    assert_eq!(refusal(election.leader(with(&user, leader("secret"))).await), denied);
    let observed =
        election.observe(with(&user, leader("secret"))).await.expect("a stream").into_inner().message().await;
    assert_eq!(observed.expect_err("it is refused").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_watch_outlives_the_token_that_it_was_created_with() {
    let guarded = Guarded::start().await;
    let (cluster, token) = (&guarded.cluster, &guarded.root);
    let create = WatchCreateRequest { key: "watched".into(), ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    sender.send(create).await.expect("it is asked");
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut events = cluster.watch(0).await.watch(with(token, requests)).await.expect("a stream").into_inner();
    assert!(events.message().await.expect("an answer").expect("an answer").created);
    // A user's tokens end when its password changes.
    let change = AuthUserChangePasswordRequest {
        name: "root".to_owned(),
        password: PASSWORD.to_owned(),
        ..AuthUserChangePasswordRequest::default()
    };
    auth(cluster, 0).await.user_change_password(with(token, change)).await.expect("a password");
    let refused = refusal(cluster.kv(0).await.range(with(token, range_request("watched", ""))).await);
    assert_eq!(refused, (Code::Unauthenticated, "etcdserver: invalid auth token".to_owned()));
    let new = token_of(&mut auth(cluster, 1).await, "root").await;
    let role = AuthRoleAddRequest { name: "unrelated".to_owned() };
    auth(cluster, 1).await.role_add(with(&new, role)).await.expect("a role");
    cluster.kv(1).await.put(with(&new, put_request("watched", "1"))).await.expect("a put");
    let seen = events.message().await.expect("an answer").expect("an answer");
    assert_eq!((seen.canceled, seen.events.len()), (false, 1), "{seen:?}");
}
