//! The Election service: one leader at a time, who can be observed.

use std::sync::Arc;

use keelson_proto::v3electionpb::{
    CampaignRequest, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ResignRequest,
};
use tonic::{Code, Streaming};

use crate::cluster::Cluster;
use crate::lock::{lease, queued, revoke};
use crate::{PATIENCE, refusal};

fn campaign_request(name: &str, lease: i64, value: &str) -> CampaignRequest {
    CampaignRequest { name: name.to_owned().into(), lease, value: value.to_owned().into() }
}

fn leader_request(name: &str) -> LeaderRequest {
    LeaderRequest { name: name.to_owned().into() }
}

async fn campaign(cluster: &Cluster, member: usize, name: &str, lease: i64, value: &str) -> LeaderKey {
    let mut client = cluster.election(member).await;
    let elected = tokio::time::timeout(PATIENCE, client.campaign(campaign_request(name, lease, value))).await;
    elected.expect("in time").expect("elected").into_inner().leader.expect("a leader's key")
}

async fn resign(cluster: &Cluster, leader: LeaderKey) {
    cluster.election(0).await.resign(ResignRequest { leader: Some(leader) }).await.expect("a resignation");
}

async fn next(observed: &mut Streaming<LeaderResponse>) -> (String, String) {
    let response = tokio::time::timeout(PATIENCE, observed.message()).await.expect("in time");
    let response = response.expect("no error").expect("it goes on");
    assert!(response.header.expect("a header").revision > 0);
    let leader = response.kv.expect("a leader");
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    (text(leader.key), text(leader.value))
}

#[tokio::test]
async fn a_leader_campaigns_proclaims_and_resigns() {
    let cluster = Cluster::shared();
    let name = "election/one";
    let nobody = (Code::Unknown, "election: no leader".to_owned());
    assert_eq!(refusal(cluster.election(0).await.leader(leader_request(name)).await), nobody);
    let id = lease(&cluster, 600).await;
    let leader = campaign(&cluster, 1, name, id, "a").await;
    assert_eq!((leader.name.as_ref(), leader.lease), (name.as_bytes(), id));
    assert_eq!(leader.key, format!("{name}/{id:x}"));
    let known = cluster.election(2).await.leader(leader_request(name)).await.expect("a leader").into_inner();
    let known = known.kv.expect("a leader");
    assert_eq!((known.value.as_ref(), known.create_revision, known.lease), (&b"a"[..], leader.rev, id));

    // Campaigning again is a proclamation.
    assert_eq!(campaign(&cluster, 0, name, id, "b").await, leader);
    let mut client = cluster.election(0).await;
    let proclaim = |leader: &LeaderKey, value: &str| ProclaimRequest {
        leader: Some(leader.clone()),
        value: value.to_owned().into(),
    };
    client.proclaim(proclaim(&leader, "c")).await.expect("a proclamation");
    let known = client.leader(leader_request(name)).await.expect("a leader").into_inner().kv.expect("a leader");
    assert_eq!((known.value.as_ref(), known.version, known.lease), (&b"c"[..], 3, id));

    let other = LeaderKey { rev: leader.rev - 1, ..leader.clone() };
    let not_leader = (Code::Unknown, "election: not leader".to_owned());
    assert_eq!(refusal(client.proclaim(proclaim(&other, "x")).await), not_leader);
    resign(&cluster, other).await;
    client.leader(leader_request(name)).await.expect("it was another's resignation");
    resign(&cluster, leader.clone()).await;
    assert_eq!(refusal(client.leader(leader_request(name)).await), nobody);
    assert_eq!(refusal(client.proclaim(proclaim(&leader, "x")).await), not_leader);
    resign(&cluster, leader).await;
    assert_eq!(refusal(client.resign(ResignRequest { leader: None }).await).0, Code::Unknown);
    assert_eq!(refusal(client.proclaim(ProclaimRequest::default()).await).0, Code::Unknown);
    let missing = client.campaign(campaign_request(name, 12345, "x")).await;
    assert_eq!(refusal(missing), (Code::NotFound, "etcdserver: requested lease not found".to_owned()));
}

#[tokio::test]
async fn observers_see_every_leader_and_what_each_says_in_order() {
    let cluster = Cluster::shared();
    let name = "election/observed";
    // One begins before there is anybody.
    let mut early = cluster.election(0).await.observe(leader_request(name)).await.expect("a stream").into_inner();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(lease(&cluster, 600).await);
    }
    let first = campaign(&cluster, 0, name, leases[0], "first").await;
    let key = |i: usize| format!("{name}/{:x}", leases[i]);
    assert_eq!(next(&mut early).await, (key(0), "first".to_owned()));
    let mut late = cluster.election(1).await.observe(leader_request(name)).await.expect("a stream").into_inner();
    assert_eq!(next(&mut late).await, (key(0), "first".to_owned()));

    let mut waiting = Vec::new();
    for (i, &id) in leases.iter().enumerate().skip(1) {
        let task = tokio::spawn({
            let cluster = Arc::clone(&cluster);
            async move { campaign(&cluster, i, name, id, &format!("candidate {i}")).await }
        });
        queued(&cluster, name, 1 + i as i64).await;
        waiting.push(task);
    }
    let mut client = cluster.election(2).await;
    for value in ["says", "more"] {
        let proclaim = ProclaimRequest { leader: Some(first.clone()), value: value.into() };
        client.proclaim(proclaim).await.expect("a proclamation");
    }
    resign(&cluster, first).await;
    let second = waiting.remove(0).await.expect("elected");
    assert!(!waiting[0].is_finished());
    revoke(&cluster, leases[1]).await;
    let third = waiting.remove(0).await.expect("elected");
    assert!(third.rev > second.rev);
    let expected = [
        (key(0), "says".to_owned()),
        (key(0), "more".to_owned()),
        (key(1), "candidate 1".to_owned()),
        (key(2), "candidate 2".to_owned()),
    ];
    for observed in [&mut early, &mut late] {
        for expected in &expected {
            assert_eq!(&next(observed).await, expected);
        }
    }
    resign(&cluster, third).await;
}

#[tokio::test]
async fn one_whose_lease_ends_while_it_waits_is_not_elected() {
    let cluster = Cluster::shared();
    let name = "election/ended";
    let (first, second) = (lease(&cluster, 600).await, lease(&cluster, 600).await);
    let leader = campaign(&cluster, 0, name, first, "").await;
    let mut client = cluster.election(1).await;
    let waiting = tokio::spawn(async move { client.campaign(campaign_request(name, second, "")).await });
    queued(&cluster, name, 2).await;
    revoke(&cluster, second).await;
    let refused = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic");
    assert_eq!(refusal(refused), (Code::NotFound, "etcdserver: requested lease not found".to_owned()));
    resign(&cluster, leader).await;
}
