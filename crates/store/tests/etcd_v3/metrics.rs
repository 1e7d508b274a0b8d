//! `/metrics`: each figure moves by what was done.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use keelson_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, HashRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseRevokeRequest, MoveLeaderRequest, TxnRequest,
};

use crate::cluster::Cluster;
use crate::kv::{put, range_request};
use crate::watch_stream::{WatchStream, watch};
use crate::web::Web;
use crate::{eventually, refusal};

type Figures = BTreeMap<String, f64>;

async fn figures(web: &Web) -> Figures {
    let (status, text) = web.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

fn call(counter: &str, service: &str, method: &str, kind: &str) -> String {
    format!(r#"{counter}{{grpc_method="{method}",grpc_service="etcdserverpb.{service}",grpc_type="{kind}"}}"#)
}

fn applied(operation: &str, success: &str) -> String {
    format!(r#"etcd_server_apply_duration_seconds_count{{op="{operation}",success="{success}",version="v3"}}"#)
}

fn handled(code: &str, service: &str, method: &str) -> String {
    format!(
        r#"grpc_server_handled_total{{grpc_code="{code}",grpc_method="{method}",grpc_service="etcdserverpb.{service}",grpc_type="unary"}}"#
    )
}

#[tokio::test]
async fn what_clients_do_is_counted() {
    let cluster = Cluster::start_with(false, |options| {
        // The leader stays the leader on a busy machine, too.
        (options.election_timeout_min, options.election_timeout_max) = (Duration::from_secs(3), Duration::from_secs(4));
    });
    let (leader, _) = cluster.leader_and_follower().await;
    let web = Web::new(cluster.members[leader].address);
    let before = figures(&web).await;
    let mut kv = cluster.kv(leader).await;
    for key in ["m/1", "m/2", "m/3"] {
        put(&mut kv, key, "value").await;
    }
    kv.range(range_request("m/1", "")).await.expect("a range");
    refusal(kv.range(range_request("", "")).await);
    let delete = DeleteRangeRequest { key: "m/".into(), range_end: "m0".into(), ..Default::default() };
    kv.delete_range(delete).await.expect("a deletion");
    kv.txn(TxnRequest { success: vec![crate::kv::put_op("m/4", "x")], ..Default::default() }).await.expect("a txn");
    let mut lease = cluster.lease(leader).await;
    let granted = lease.lease_grant(LeaseGrantRequest { ttl: 60, id: 9 }).await.expect("a lease").into_inner();
    let keep = LeaseKeepAliveRequest { id: granted.id };
    let mut kept = lease.lease_keep_alive(tokio_stream::iter([keep])).await.expect("a stream").into_inner();
    kept.message().await.expect("an answer").expect("a renewal");
    lease.lease_revoke(LeaseRevokeRequest { id: granted.id }).await.expect("a revocation");

    refusal(kv.compact(CompactionRequest { revision: 1 << 40, physical: true }).await);
    let mut maintenance = cluster.maintenance(leader).await;
    maintenance.hash_kv(HashKvRequest::default()).await.expect("a checksum");
    maintenance.hash(HashRequest {}).await.expect("a checksum");

    let after = figures(&web).await;
    let grown = |name: &str| after.get(name).unwrap_or_else(|| panic!("{name} is not there")) - before[name];
    for (name, expected) in [
        ("etcd_mvcc_put_total", 4.0),
        ("etcd_mvcc_delete_total", 3.0),
        ("etcd_mvcc_txn_total", 1.0),
        ("etcd_debugging_mvcc_total_put_size_in_bytes", 3.0 * 8.0 + 4.0),
        ("etcd_debugging_mvcc_current_revision", 5.0),
        ("etcd_debugging_lease_granted_total", 1.0),
        ("etcd_debugging_lease_renewed_total", 1.0),
        ("etcd_debugging_lease_revoked_total", 1.0),
        ("etcd_server_proposals_pending", 0.0),
        ("etcd_server_proposals_failed_total", 0.0),
        (&call("grpc_server_started_total", "KV", "Put", "unary"), 3.0),
        (&call("grpc_server_handling_seconds_count", "KV", "Put", "unary"), 3.0),
        (&call("grpc_server_started_total", "Lease", "LeaseKeepAlive", "bidi_stream"), 1.0),
        (&call("grpc_server_msg_received_total", "KV", "Put", "unary"), 3.0),
        (&call("grpc_server_msg_sent_total", "KV", "Put", "unary"), 3.0),
        (&call("grpc_server_msg_received_total", "KV", "Range", "unary"), 2.0),
        (&call("grpc_server_msg_sent_total", "KV", "Range", "unary"), 1.0),
        (&call("grpc_server_msg_sent_total", "Lease", "LeaseKeepAlive", "bidi_stream"), 1.0),
        (&applied("Put", "true"), 3.0),
        (&applied("DeleteRange", "true"), 1.0),
        (&applied("Txn", "true"), 1.0),
        (&applied("LeaseGrant", "true"), 1.0),
        (&applied("Compaction", "false"), 1.0),
        ("etcd_debugging_lease_ttl_total_count", 1.0),
        ("etcd_debugging_lease_ttl_total_sum", 60.0),
        ("etcd_mvcc_hash_rev_duration_seconds_count", 1.0),
        ("etcd_mvcc_hash_duration_seconds_count", 1.0),
        (&handled("OK", "KV", "Put"), 3.0),
        (&handled("OK", "KV", "Range"), 1.0),
        (&handled("InvalidArgument", "KV", "Range"), 1.0),
        (&handled("OK", "KV", "Txn"), 1.0),
    ] {
        assert_eq!(grown(name), expected, "{name}");
    }
    for name in [
        "etcd_server_proposals_committed_total",
        "etcd_server_proposals_applied_total",
        "etcd_disk_wal_fsync_duration_seconds_count",
        "etcd_disk_wal_write_bytes_total",
        "etcd_disk_backend_commit_duration_seconds_count",
        "etcd_mvcc_range_total",
        "etcd_network_client_grpc_received_bytes_total",
        "etcd_network_client_grpc_sent_bytes_total",
    ] {
        assert!(grown(name) > 0.0, "{name}");
    }
    let member = cluster.members[leader].handle.member_id();
    let id = format!(r#"etcd_server_id{{server_id="{member:x}"}}"#);
    for name in ["etcd_server_has_leader", "etcd_server_is_leader", id.as_str()] {
        assert_eq!(after[name], 1.0, "{name}");
    }
    for name in
        ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "etcd_server_quota_backend_bytes"]
    {
        assert!(after[name] > 0.0, "{name}");
    }
    let peers = after
        .iter()
        .filter(|(name, count)| name.starts_with("etcd_network_peer_round_trip_time_seconds_count") && **count > 0.0);
    assert_eq!(peers.count(), 2);
    let active = after.iter().filter(|(name, up)| name.starts_with("etcd_network_active_peers{") && **up == 1.0);
    assert_eq!(active.count(), 2);
    for name in ["etcd_debugging_auth_revision", "etcd_server_slow_read_indexes_total"] {
        assert!(after.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn clients_are_told_apart_by_the_version_that_they_tell() {
    let cluster = Cluster::start(false);
    let web = Web::new(cluster.members[0].address);
    let mut kv = cluster.kv(0).await;
    let mut ask = async |version: &[u8]| {
        let mut request = tonic::Request::new(range_request("v", ""));
        request.metadata_mut().insert("client-api-version", version.try_into().expect("a header's value"));
        kv.range(request).await
    };
    ask(b"3.5.21").await.expect("a range");
    ask(b"made up").await.expect("a range");
    let figures = figures(&web).await;
    let of = |version: &str| {
        figures[&format!(r#"etcd_server_client_requests_total{{client_api_version="{version}",type="unary"}}"#)]
    };
    assert_eq!(of("3.5.21"), 1.0);
    assert!(of("unknown") >= 1.0);
}

#[tokio::test]
async fn watchers_and_their_events_are_counted_while_they_are_there() {
    let cluster = Cluster::start(false);
    let web = Web::new(cluster.members[0].address);
    let before = figures(&web).await;
    let mut stream = WatchStream::open(cluster.watch(0).await);
    stream.created(watch("w", "")).await;
    put(&mut cluster.kv(0).await, "w", "1").await;
    stream.events(1).await;
    let during = figures(&web).await;
    for name in [
        "etcd_debugging_mvcc_watcher_total",
        "etcd_debugging_mvcc_watch_stream_total",
        "etcd_debugging_mvcc_events_total",
    ] {
        assert_eq!(during[name] - before[name], 1.0, "{name}");
    }
    stream.close().await;
    let ended = r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"}"#;
    eventually("the end of the watch", || async {
        let after = figures(&web).await;
        let gone = |name: &str| after[name] == before[name];
        let all_gone = gone("etcd_debugging_mvcc_watcher_total") && gone("etcd_debugging_mvcc_watch_stream_total");
        (all_gone && after.get(ended) == Some(&1.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_leader_is_a_leader_change() {
    let cluster = Cluster::start(false);
    let (leader, follower) = cluster.leader_and_follower().await;
    let web = Web::new(cluster.members[leader].address);
    let name = "etcd_server_leader_changes_seen_total";
    let before = figures(&web).await[name];
    assert!(before >= 1.0);
    let target = MoveLeaderRequest { target_id: cluster.members[follower].handle.member_id() };
    cluster.maintenance(leader).await.move_leader(target).await.expect("it moves");
    eventually("the change", || async { (figures(&web).await[name] > before).then_some(()) }).await;
}

#[tokio::test]
async fn a_port_of_its_own_serves_the_figures_in_the_clear_and_no_data() {
    let cluster = Cluster::start(true);
    let web = Web::new(cluster.members[0].metrics_address);
    assert_eq!(figures(&web).await["etcd_server_has_leader"], 1.0);
    assert_eq!(web.get("/health").await.0, StatusCode::OK);
    assert_eq!(web.get("/readyz").await.0, StatusCode::OK);
    assert_eq!(web.post("/v3/kv/range", r#"{"key":"YQ=="}"#).await.0, StatusCode::NOT_FOUND);
    // The etcd port itself has no clear text.
    Web::new(cluster.members[0].address).try_send("GET", "/metrics", "").await.err().expect("no clear text");
}
