//! Members, status, hashes, moving the leader, what is not there yet; and the port itself.

use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::{
    AlarmRequest, AuthEnableRequest, AuthStatusRequest, DefragmentRequest, HashKvRequest, MemberAddRequest,
    MemberListRequest, MoveLeaderRequest, StatusRequest,
};
use keelson_store::etcd_v3::{ETCD_VERSION, Error, Limits, Server};
use tonic::Code;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::certificates::Authority;
use crate::cluster::{Cluster, client_config};
use crate::kv::{put, range_request};
use crate::refusal;

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
    let request = MemberListRequest { linearizable: true };
    let listed = cluster.cluster(0).await.member_list(request).await.expect("a list").into_inner();
    for member in &cluster.members {
        let url = format!("http://{}", member.address);
        assert!(listed.members.iter().any(|listed| listed.client_ur_ls.contains(&url)), "{url}: {listed:?}");
    }
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

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let cluster = Cluster::shared();
    let mut maintenance = cluster.maintenance(0).await;
    let mut auth = AuthClient::new(cluster.channel(0).await);
    assert_eq!(refusal(maintenance.defragment(DefragmentRequest {}).await).0, Code::Unimplemented);
    let add = cluster.cluster(0).await.member_add(MemberAddRequest::default()).await;
    assert_eq!(refusal(add).0, Code::Unimplemented);
    assert_eq!(refusal(auth.auth_enable(AuthEnableRequest {}).await).0, Code::Unimplemented);
    assert!(!auth.auth_status(AuthStatusRequest {}).await.expect("a status").into_inner().enabled);
    let alarms = maintenance.alarm(AlarmRequest::default()).await.expect("a list").into_inner();
    assert!(alarms.alarms.is_empty());
    assert_eq!(
        refusal(maintenance.alarm(AlarmRequest { action: 1, ..Default::default() }).await).0,
        Code::Unimplemented
    );
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
