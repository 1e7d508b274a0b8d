//! What etcd once let through, by the names under which it was published.

use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, Compare, DefragmentRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberAddRequest, MemberListRequest, PutRequest,
    RangeRequest, RequestOp, SnapshotRequest, StatusRequest, TxnRequest, WatchCreateRequest, WatchRequest,
};
use tonic::Code;

use super::guarded::{Guarded, add_user, auth, with};
use crate::kv::{put_request, range_request};
use crate::refusal;

fn denied() -> (Code, String) {
    (Code::PermissionDenied, "etcdserver: permission denied".to_owned())
}

fn nobody() -> (Code, String) {
    (Code::InvalidArgument, "etcdserver: user name is empty".to_owned())
}

fn operation(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

#[tokio::test]
async fn cve_2026_33343_a_nested_transaction_demands_all_that_is_in_it() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let user = add_user(&mut auth(cluster, 0).await, root, "nested", &[(Type::Readwrite, "nested/", "nested0")]).await;
    let mut kv = cluster.kv(1).await;
    kv.put(with(root, put_request("secret/nested", "1"))).await.expect("root may");

    let get = |key| operation(Op::RequestRange(range_request(key, "")));
    let put = |key| operation(Op::RequestPut(put_request(key, "2")));
    let nested = |operations: Vec<RequestOp>| {
        let inner = TxnRequest { success: operations, ..TxnRequest::default() };
        let middle = TxnRequest { success: vec![operation(Op::RequestTxn(inner))], ..TxnRequest::default() };
        TxnRequest { success: vec![operation(Op::RequestTxn(middle))], ..TxnRequest::default() }
    };
    let delete = DeleteRangeRequest { key: "secret/nested".into(), ..DeleteRangeRequest::default() };
    for operations in [
        vec![get("secret/nested")],
        vec![put("secret/nested")],
        vec![operation(Op::RequestDeleteRange(delete))],
        vec![get("nested/a"), get("secret/nested")],
    ] {
        assert_eq!(refusal(kv.txn(with(&user, nested(operations.clone()))).await), denied(), "{operations:?}");
    }
    let compares = TxnRequest {
        compare: vec![Compare { key: "secret/nested".into(), ..Compare::default() }],
        ..TxnRequest::default()
    };
    let in_failure = TxnRequest { failure: vec![operation(Op::RequestTxn(compares))], ..TxnRequest::default() };
    assert_eq!(refusal(kv.txn(with(&user, in_failure)).await), denied());

    kv.txn(with(&user, nested(vec![put("nested/a"), get("nested/b")]))).await.expect("these are the user's own");
    let secret = kv.range(with(root, range_request("secret/nested", ""))).await.expect("a range").into_inner();
    assert_eq!(secret.kvs[0].value, "1");
}

#[tokio::test]
async fn cve_2026_33413_no_rpc_is_open_to_strangers() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let user = add_user(&mut auth(cluster, 0).await, root, "plain", &[(Type::Readwrite, "plain/", "plain0")]).await;
    let (mut kv, mut leases) = (cluster.kv(2).await, cluster.lease(2).await);
    let (mut members, mut maintenance) = (cluster.cluster(2).await, cluster.maintenance(2).await);
    let alarms = |action: AlarmAction| AlarmRequest { action: action.into(), ..AlarmRequest::default() };
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };

    // Whoever says nothing of itself gets nothing.
    assert_eq!(refusal(kv.range(range_request("a", "")).await), nobody());
    assert_eq!(refusal(kv.put(put_request("a", "1")).await), nobody());
    assert_eq!(refusal(kv.compact(CompactionRequest::default()).await), nobody());
    assert_eq!(refusal(members.member_list(MemberListRequest::default()).await), nobody());
    assert_eq!(refusal(members.member_add(MemberAddRequest::default()).await), nobody());
    assert_eq!(refusal(maintenance.status(StatusRequest {}).await), nobody());
    assert_eq!(refusal(maintenance.alarm(alarms(AlarmAction::Get)).await), nobody());
    assert_eq!(refusal(maintenance.alarm(alarms(AlarmAction::Deactivate)).await), nobody());
    assert_eq!(refusal(maintenance.snapshot(SnapshotRequest {}).await.map(drop)), nobody());
    assert_eq!(refusal(leases.lease_grant(grant).await), nobody());
    assert_eq!(refusal(leases.lease_revoke(LeaseRevokeRequest { id: 1 }).await), nobody());
    assert_eq!(refusal(leases.lease_leases(LeaseLeasesRequest {}).await), nobody());
    let time_to_live = |id, keys| LeaseTimeToLiveRequest { id, keys };
    assert_eq!(refusal(leases.lease_time_to_live(time_to_live(1, false)).await), nobody());

    // Whatever it calls itself, a request does not pass by the guard.
    let mut plain = Vec::new();
    let stream = tokio::net::TcpStream::connect(cluster.members[2].address).await.expect("the member listens");
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .expect("HTTP/2");
    tokio::spawn(connection);
    for content_type in ["text/plain", "application/grpc", "application/json"] {
        let request = http::Request::post("http://localhost/etcdserverpb.Maintenance/HashKV")
            .header("content-type", content_type)
            .body(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5])))
            .expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        plain.push(response.headers().get("grpc-message").cloned());
    }
    assert!(
        plain
            .iter()
            .all(|message| message.as_ref().is_some_and(|text| text.to_str().is_ok_and(|text| text.contains("user")))),
        "{plain:?}"
    );

    // Any user may see how the cluster is, and nobody but root changes it.
    members.member_list(with(&user, MemberListRequest::default())).await.expect("any user may");
    maintenance.status(with(&user, StatusRequest {})).await.expect("any user may");
    maintenance.alarm(with(&user, alarms(AlarmAction::Get))).await.expect("any user may");
    let id = leases.lease_grant(with(&user, grant)).await.expect("any user may").into_inner().id;
    leases.lease_time_to_live(with(&user, time_to_live(id, true))).await.expect("it shows nothing");
    assert_eq!(refusal(members.member_add(with(&user, MemberAddRequest::default())).await), denied());
    assert_eq!(refusal(maintenance.alarm(with(&user, alarms(AlarmAction::Deactivate))).await), denied());
    assert_eq!(refusal(maintenance.snapshot(with(&user, SnapshotRequest {})).await.map(drop)), denied());
    assert_eq!(refusal(maintenance.hash_kv(with(&user, HashKvRequest::default())).await), denied());
    assert_eq!(refusal(maintenance.defragment(with(&user, DefragmentRequest {})).await), denied());
    assert_eq!(refusal(kv.compact(with(&user, CompactionRequest { revision: 1, physical: false })).await), denied());

    // A lease is as much somebody's as the keys that end with it.
    kv.put(with(root, PutRequest { lease: id, ..put_request("secret/leased", "1") })).await.expect("root may");
    assert_eq!(refusal(leases.lease_time_to_live(with(&user, time_to_live(id, true))).await), denied());
    assert_eq!(refusal(leases.lease_revoke(with(&user, LeaseRevokeRequest { id })).await), denied());
    assert_eq!(refusal(leases.lease_leases(with(&user, LeaseLeasesRequest {})).await), denied());
    let own = PutRequest { lease: id, ..put_request("plain/a", "1") };
    assert_eq!(refusal(kv.put(with(&user, own)).await), denied(), "it could not end the lease");
    leases.lease_revoke(with(root, LeaseRevokeRequest { id })).await.expect("root may");
}

#[tokio::test]
async fn cve_2026_44283_prev_kv_and_leases_are_checked_in_transactions_too() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let granted = [(Type::Write, "blind/", "blind0")];
    let user = add_user(&mut auth(cluster, 0).await, root, "blind", &granted).await;
    let (mut kv, mut leases) = (cluster.kv(1).await, cluster.lease(1).await);
    kv.put(with(root, put_request("blind/a", "secret"))).await.expect("root may");
    let id =
        leases.lease_grant(with(root, LeaseGrantRequest { ttl: 600, id: 0 })).await.expect("a lease").into_inner().id;
    kv.put(with(root, PutRequest { lease: id, ..put_request("secret/blind", "1") })).await.expect("root may");

    let plain = put_request("blind/a", "2");
    let showing = PutRequest { prev_kv: true, ..plain.clone() };
    let leased = PutRequest { lease: id, ..plain.clone() };
    let deleting = DeleteRangeRequest { key: "blind/a".into(), prev_kv: true, ..DeleteRangeRequest::default() };
    assert_eq!(refusal(kv.put(with(&user, showing.clone())).await), denied());
    assert_eq!(refusal(kv.put(with(&user, leased.clone())).await), denied());
    assert_eq!(refusal(kv.delete_range(with(&user, deleting.clone())).await), denied());
    for hidden in [Op::RequestPut(showing), Op::RequestPut(leased), Op::RequestDeleteRange(deleting)] {
        let txn = TxnRequest { success: vec![operation(hidden)], ..TxnRequest::default() };
        assert_eq!(refusal(kv.txn(with(&user, txn.clone())).await), denied(), "{txn:?}");
        let nested = TxnRequest { failure: vec![operation(Op::RequestTxn(txn))], ..TxnRequest::default() };
        assert_eq!(refusal(kv.txn(with(&user, nested.clone())).await), denied(), "{nested:?}");
    }
    kv.put(with(&user, plain)).await.expect("the user may write it");
}

#[tokio::test]
async fn ghsa_xg4h_6gfc_h4m8_a_watch_of_one_key_is_not_one_of_all_that_follow() {
    let guarded = Guarded::shared().await;
    let (cluster, root) = (&guarded.cluster, &guarded.root);
    let user = add_user(&mut auth(cluster, 0).await, root, "watcher", &[(Type::Read, "watched", "")]).await;
    let mut watch = cluster.watch(1).await;
    let (sender, requests) = tokio::sync::mpsc::channel(8);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut responses = watch.watch(with(&user, requests)).await.expect("a stream").into_inner();
    let create = |key: &'static str, range_end: &'static str| WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            ..WatchCreateRequest::default()
        })),
    };
    for (key, range_end) in [("watched", "\0"), ("watched", "x"), ("", ""), ("", "\0"), ("watche", ""), ("a", "\0")] {
        sender.send(create(key, range_end)).await.expect("the stream goes on");
        let response = responses.message().await.expect("an answer").expect("the stream goes on");
        assert!(response.created && response.canceled && response.watch_id == -1, "{response:?}");
        // To the letter: Go's client compares it.
        assert_eq!(response.cancel_reason, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    }
    sender.send(create("watched", "")).await.expect("the stream goes on");
    let response = responses.message().await.expect("an answer").expect("the stream goes on");
    assert!(response.created && !response.canceled, "{response:?}");
    let mut kv = cluster.kv(0).await;
    kv.put(with(root, put_request("watched", "1"))).await.expect("root may");
    let response = responses.message().await.expect("an answer").expect("the stream goes on");
    assert_eq!(response.events.len(), 1);

    // Better than etcd: a watch ends with the permission that it was created by, before the next event.
    let revoke = keelson_proto::etcdserverpb::AuthRoleRevokePermissionRequest {
        role: "watcher".to_owned(),
        key: "watched".into(),
        ..Default::default()
    };
    auth(cluster, 0).await.role_revoke_permission(with(root, revoke)).await.expect("root may");
    kv.put(with(root, put_request("watched", "2"))).await.expect("root may");
    let response = responses.message().await.expect("an answer").expect("the stream goes on");
    assert!(response.canceled && response.events.is_empty(), "{response:?}");
    let range = RangeRequest { key: "watched".into(), ..RangeRequest::default() };
    assert_eq!(refusal(kv.range(with(&user, range)).await), denied());
}
