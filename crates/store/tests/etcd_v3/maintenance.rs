//! Members, status, hashes, moving the leader; and the port itself.

use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::downgrade_request::DowngradeAction;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::request_op::Request;
use keelson_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, DeleteRangeRequest, DowngradeRequest,
    HashKvRequest, HashRequest, LeaseGrantRequest, MemberAddRequest, MemberListRequest, MoveLeaderRequest, PutRequest,
    RequestOp, StatusRequest, TxnRequest,
};
use keelson_store::etcd_v3::{ETCD_VERSION, Error, Limits, Server};
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::certificates::Authority;
use crate::cluster::{Cluster, client_config};
use crate::kv::{put, range_request};
use crate::{eventually, refusal};

#[tokio::test]
async fn every_member_lists_all_members_and_knows_the_leader() {
    let cluster = Cluster::shared();
    let (leader, _) = cluster.leader_and_follower().await;
    for member in 0..3 {
        let request = MemberListRequest { linearizable: true };
        let list = cluster.cluster(member).await.member_list(request).await.expect("a list").into_inner();
        let mut ids: Vec<u64> = list.members.iter().map(|member| member.id).collect();
        let mut expected: Vec<u64> = cluster.members.iter().map(|member| member.handle.member_id()).collect();
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert!(list.members.iter().all(|member| !member.name.is_empty() && member.peer_ur_ls.len() == 1));

        let status = cluster.maintenance(member).await.status(StatusRequest {}).await.expect("a status").into_inner();
        assert_eq!(status.leader, cluster.members[leader].handle.member_id());
        assert_eq!(status.version, ETCD_VERSION);
        assert!(status.raft_term > 0 && status.raft_applied_index > 0, "{status:?}");
        assert!(status.errors.is_empty());
    }
}

#[tokio::test]
async fn clients_learn_every_members_address() {
    let cluster = Cluster::shared();
    // Members say so in a write of their own, soon after they have started.
    eventually("every member's address", || async {
        let request = MemberListRequest { linearizable: true };
        let listed = cluster.cluster(0).await.member_list(request).await.expect("a list").into_inner();
        let known = |url: &String| listed.members.iter().any(|listed| listed.client_ur_ls.contains(url));
        cluster.members.iter().all(|member| known(&format!("http://{}", member.address))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn members_agree_on_the_hash_of_a_revision() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let mut revision = 0;
    for i in 0..20 {
        revision = put(&mut kv, &format!("hash/{}", i % 7), &i.to_string()).await;
    }
    let mut hashes = Vec::new();
    for member in 0..3 {
        // Only after a linearizable read has this member surely applied the puts.
        cluster.kv(member).await.range(range_request("hash/0", "")).await.expect("a range");
        let hash = cluster.maintenance(member).await.hash_kv(HashKvRequest { revision }).await.expect("a hash");
        let hash = hash.into_inner();
        assert_eq!(hash.hash_revision, revision);
        hashes.push((hash.hash, hash.compact_revision));
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test]
async fn the_leader_can_be_moved_by_the_leader_alone() {
    let cluster = Cluster::start(false);
    let (leader, follower) = cluster.leader_and_follower().await;
    let target = MoveLeaderRequest { target_id: cluster.members[follower].handle.member_id() };
    assert_eq!(
        refusal(cluster.maintenance(follower).await.move_leader(target).await),
        (Code::FailedPrecondition, "etcdserver: not leader".to_owned())
    );
    assert_eq!(
        refusal(cluster.maintenance(leader).await.move_leader(MoveLeaderRequest { target_id: 1 }).await),
        (Code::FailedPrecondition, "etcdserver: bad leader transferee".to_owned())
    );
    cluster.maintenance(leader).await.move_leader(target).await.expect("it moves");
    let mut leadership = cluster.members[follower].handle.leadership();
    leadership.wait_for(|now| now.leading).await.expect("the target leads");
    put(&mut cluster.kv(leader).await, "after", "1").await;
}

fn alarm(action: AlarmAction, member_id: u64, alarm: AlarmType) -> AlarmRequest {
    AlarmRequest { action: action.into(), member_id, alarm: alarm.into() }
}

#[tokio::test]
async fn an_alarm_without_space_refuses_what_adds_and_nothing_else_on_every_member() {
    let cluster = Cluster::start(false);
    let id = cluster.members[1].handle.member_id();
    let mut kv = cluster.kv(0).await;
    let first = put(&mut kv, "kept", "1").await;
    put(&mut kv, "kept", "2").await;
    let mut maintenance = cluster.maintenance(1).await;
    let raised = maintenance.alarm(alarm(AlarmAction::Activate, id, AlarmType::Nospace)).await.expect("it is raised");
    let nospace = AlarmMember { member_id: id, alarm: AlarmType::Nospace.into() };
    assert_eq!(raised.into_inner().alarms, [nospace]);

    for member in 0..3 {
        let get = alarm(AlarmAction::Get, 0, AlarmType::None);
        let listed = cluster.maintenance(member).await.alarm(get).await.expect("a list").into_inner();
        assert_eq!(listed.alarms, [nospace], "on member {member}");
        let status = cluster.maintenance(member).await.status(StatusRequest {}).await.expect("a status").into_inner();
        assert_eq!(status.errors, [format!("memberID:{id} alarm:NOSPACE ")]);

        let refused = (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded".to_owned());
        let mut kv = cluster.kv(member).await;
        let request = PutRequest { key: "new".into(), ..PutRequest::default() };
        assert_eq!(refusal(kv.put(request.clone()).await), refused);
        let op = |request| vec![RequestOp { request: Some(request) }];
        let adds = TxnRequest { failure: op(Request::RequestPut(request)), ..TxnRequest::default() };
        assert_eq!(refusal(kv.txn(adds).await), refused);
        let grant = LeaseGrantRequest { ttl: 60, id: 0 };
        assert_eq!(refusal(cluster.lease(member).await.lease_grant(grant).await), refused);

        let found = kv.range(range_request("kept", "")).await.expect("reads go on").into_inner();
        assert_eq!(found.kvs[0].value, "2");
        let delete = DeleteRangeRequest { key: format!("none-{member}").into(), ..DeleteRangeRequest::default() };
        kv.delete_range(delete.clone()).await.expect("deletions go on");
        let deletes = TxnRequest { success: op(Request::RequestDeleteRange(delete)), ..TxnRequest::default() };
        kv.txn(deletes).await.expect("deletions go on");
    }
    kv.compact(CompactionRequest { revision: first, physical: false }).await.expect("compactions go on");

    // Of another type, and of another member: nothing to take back.
    let other = maintenance.alarm(alarm(AlarmAction::Deactivate, id, AlarmType::Corrupt)).await.expect("an answer");
    assert!(other.into_inner().alarms.is_empty());
    let other = maintenance.alarm(alarm(AlarmAction::Deactivate, 17, AlarmType::Nospace)).await.expect("an answer");
    assert!(other.into_inner().alarms.is_empty());
    put_refused(&mut kv).await;
    let cleared = maintenance.alarm(alarm(AlarmAction::Deactivate, id, AlarmType::Nospace)).await.expect("cleared");
    assert_eq!(cleared.into_inner().alarms, [nospace]);
    eventually("the alarm is off here, too", || async {
        cluster.members[0].handle.cluster().alarms.is_empty().then_some(())
    })
    .await;
    put(&mut kv, "new", "1").await;
}

async fn put_refused(kv: &mut KvClient<Channel>) {
    let request = PutRequest { key: "new".into(), ..PutRequest::default() };
    assert_eq!(refusal(kv.put(request).await).0, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_corrupt_cluster_takes_no_writes_and_is_read() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    put(&mut kv, "kept", "1").await;
    let mut maintenance = cluster.maintenance(0).await;
    maintenance.alarm(alarm(AlarmAction::Activate, 7, AlarmType::Corrupt)).await.expect("it is raised");
    let refused = (Code::DataLoss, "etcdserver: corrupt cluster".to_owned());
    let request = PutRequest { key: "new".into(), ..PutRequest::default() };
    assert_eq!(refusal(kv.put(request).await), refused);
    let delete = DeleteRangeRequest { key: "kept".into(), ..DeleteRangeRequest::default() };
    assert_eq!(refusal(kv.delete_range(delete).await), refused);
    assert_eq!(refusal(kv.compact(CompactionRequest { revision: 2, physical: false }).await), refused);
    assert_eq!(kv.range(range_request("kept", "")).await.expect("a read").into_inner().kvs.len(), 1);
    // 0 means every member's.
    maintenance.alarm(alarm(AlarmAction::Deactivate, 0, AlarmType::Corrupt)).await.expect("cleared");
    put(&mut kv, "new", "1").await;
}

#[tokio::test]
async fn status_tells_sizes_and_defragment_has_nothing_to_do() {
    let cluster = Cluster::shared();
    put(&mut cluster.kv(0).await, "status/a", "1").await;
    let mut maintenance = cluster.maintenance(0).await;
    let status = maintenance.status(StatusRequest {}).await.expect("a status").into_inner();
    assert!(status.db_size_in_use > 0 && status.db_size >= status.db_size_in_use, "{status:?}");
    assert!(!status.is_learner);
    assert!(status.db_size_quota > status.db_size, "without a quota, the disk is the limit: {}", status.db_size_quota);
    assert!(status.raft_index >= status.raft_applied_index, "{status:?}");
    assert!(!status.storage_version.is_empty());
    let before = maintenance.hash(HashRequest {}).await.expect("a hash").into_inner();
    assert!(before.header.is_some_and(|header| header.revision > 1));
    maintenance.defragment(DefragmentRequest {}).await.expect("success at once");
    put(&mut cluster.kv(0).await, "status/a", "2").await;
    let after = maintenance.hash(HashRequest {}).await.expect("a hash").into_inner();
    assert_ne!(before.hash, after.hash);
}

#[tokio::test]
async fn a_downgrade_is_noted_once_and_taken_back() {
    let cluster = Cluster::start(false);
    let ask = |member: usize, action: DowngradeAction, version: &'static str| {
        let request = DowngradeRequest { action: action.into(), version: version.to_owned() };
        let cluster = &cluster;
        async move { cluster.maintenance(member).await.downgrade(request).await }
    };
    eventually("the cluster's version", || async { ask(0, DowngradeAction::Validate, "3.6").await.ok() }).await;
    for (action, version, code, message) in [
        (
            DowngradeAction::Validate,
            "three",
            Code::InvalidArgument,
            "etcdserver: wrong downgrade target version format",
        ),
        (DowngradeAction::Enable, "3.5", Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
        (DowngradeAction::Cancel, "", Code::FailedPrecondition, "etcdserver: no inflight downgrade job"),
    ] {
        assert_eq!(refusal(ask(0, action, version).await), (code, message.to_owned()));
    }
    let enabled = ask(1, DowngradeAction::Enable, "3.6").await.expect("it is noted").into_inner();
    assert_eq!(enabled.version, ETCD_VERSION);
    let in_progress = (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress".to_owned());
    assert_eq!(refusal(ask(2, DowngradeAction::Enable, "3.6").await), in_progress);
    assert_eq!(refusal(ask(0, DowngradeAction::Validate, "3.6").await), in_progress);
    let status = cluster.maintenance(0).await.status(StatusRequest {}).await.expect("a status").into_inner();
    let info = status.downgrade_info.expect("it is always there");
    assert_eq!((info.enabled, info.target_version.as_str()), (true, "3.6"));
    ask(2, DowngradeAction::Cancel, "").await.expect("it is taken back");
    ask(1, DowngradeAction::Validate, "3.6").await.expect("possible again");
}

#[tokio::test]
async fn a_member_without_an_address_is_refused() {
    let cluster = Cluster::shared();
    let add = cluster.cluster(0).await.member_add(MemberAddRequest::default()).await;
    assert_eq!(refusal(add), (Code::InvalidArgument, "etcdserver: given member URLs are invalid".to_owned()));
}

#[tokio::test]
async fn only_a_certificate_of_the_clusters_authority_opens_the_port() {
    let cluster = Cluster::shared_with_tls();
    let tls = cluster.client_tls.as_ref().expect("this cluster has TLS");
    let address = cluster.members[0].address;
    let connect = |config: ClientTlsConfig| async move {
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .expect("an address")
            .tls_config(config)
            .expect("a configuration");
        let mut kv = keelson_proto::etcdserverpb::kv_client::KvClient::new(endpoint.connect_lazy());
        kv.range(range_request("a", "")).await.map(|_| ())
    };
    connect(client_config(tls)).await.expect("the right certificate");

    // How a client words that it was cut off depends on when it notices.
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Authority::new(folder.path(), "other").issue("client");
    wrong.ca = tls.ca.clone();
    connect(client_config(&wrong)).await.expect_err("a certificate of another authority");
    let ca = std::fs::read(&tls.ca).expect("the file is there");
    let ca = tonic::transport::Certificate::from_pem(ca);
    let none = ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost");
    connect(none).await.expect_err("no certificate");
    let plain = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut kv = keelson_proto::etcdserverpb::kv_client::KvClient::new(plain.connect_lazy());
    kv.range(range_request("a", "")).await.expect_err("no TLS");
}

#[tokio::test]
async fn clear_text_and_wrong_files_are_refused_before_anything_is_served() {
    let address = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Server::bind(address, None, Limits::default()).await;
    assert!(matches!(refused.map(drop), Err(Error::InsecureAddress { .. })));

    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "ca");
    let good = authority.issue("server");
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(local, Some(&good), Limits::default()).await.expect("good files");
    let taken = Server::bind(server.local_addr(), Some(&good), Limits::default()).await;
    assert!(matches!(taken.map(drop), Err(Error::Listen { .. })));
    let mut missing = good.clone();
    missing.key = folder.path().join("none.key");
    let mut mixed = good.clone();
    mixed.key = authority.issue("other").key;
    let mut empty = good;
    empty.ca = folder.path().join("empty.crt");
    std::fs::write(&empty.ca, "").expect("a file");
    for wrong in [missing, mixed, empty] {
        let refused = Server::bind(local, Some(&wrong), Limits::default()).await;
        assert!(matches!(refused.map(drop), Err(Error::Tls(_))));
    }
}

#[tokio::test]
async fn alarms_for_ids_that_nobody_has_are_bounded() {
    let cluster = Cluster::start(false);
    let mut maintenance = cluster.maintenance(0).await;
    for id in 1..=100 {
        maintenance.alarm(alarm(AlarmAction::Activate, id, AlarmType::Nospace)).await.expect("it is raised");
    }
    let one_more = maintenance.alarm(alarm(AlarmAction::Activate, 101, AlarmType::Nospace)).await;
    let refused = (Code::ResourceExhausted, "keelson: 100 alarms are active already".to_owned());
    assert_eq!(refusal(one_more), refused);
    maintenance.alarm(alarm(AlarmAction::Activate, 100, AlarmType::Nospace)).await.expect("it is raised already");
    maintenance.alarm(alarm(AlarmAction::Deactivate, 1, AlarmType::Nospace)).await.expect("cleared");
    maintenance.alarm(alarm(AlarmAction::Activate, 101, AlarmType::Nospace)).await.expect("there is room again");
}
