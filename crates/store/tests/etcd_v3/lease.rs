//! Leases: granted, renewed, asked about, revoked, run out.

use keelson_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
    PutRequest,
};
use tonic::Code;

use crate::cluster::Cluster;
use crate::kv::{put_request, range_request};
use crate::{eventually, refusal};

#[tokio::test]
async fn a_lease_takes_its_keys_with_it_in_one_revision() {
    let cluster = Cluster::shared();
    let mut leases = cluster.lease(0).await;
    let mut kv = cluster.kv(1).await;
    let granted = leases.lease_grant(LeaseGrantRequest { ttl: 600, id: 0 }).await.expect("a lease").into_inner();
    assert!(granted.id > 0 && granted.ttl == 600 && granted.error.is_empty());
    let id = granted.id;
    for key in ["lease/a", "lease/b"] {
        kv.put(PutRequest { lease: id, ..put_request(key, "1") }).await.expect("a put");
    }
    // A put without the lease detaches.
    kv.put(PutRequest { lease: id, ..put_request("lease/c", "1") }).await.expect("a put");
    kv.put(put_request("lease/c", "2")).await.expect("a put");

    for member in 0..3 {
        let mut leases = cluster.lease(member).await;
        // Only after a linearizable read has this member surely applied the puts.
        let seen = cluster.kv(member).await.range(range_request("lease/a", "")).await.expect("a range").into_inner();
        assert_eq!(seen.kvs[0].lease, id);
        let asked = LeaseTimeToLiveRequest { id, keys: true };
        let answer = leases.lease_time_to_live(asked).await.expect("an answer").into_inner();
        // Time passes on a busy machine, too.
        assert!((300..=600).contains(&answer.ttl), "{answer:?}");
        assert_eq!(answer.granted_ttl, 600);
        let mut keys = answer.keys;
        keys.sort();
        assert_eq!(keys, ["lease/a", "lease/b"]);
        let all = leases.lease_leases(LeaseLeasesRequest {}).await.expect("a list").into_inner();
        assert!(all.leases.iter().any(|lease| lease.id == id));
    }

    let before = kv.range(range_request("lease/", "lease0")).await.expect("a range").into_inner();
    leases.lease_revoke(LeaseRevokeRequest { id }).await.expect("a revocation");
    let after = kv.range(range_request("lease/", "lease0")).await.expect("a range").into_inner();
    assert_eq!((before.count, after.count), (3, 1));
    let again = leases.lease_revoke(LeaseRevokeRequest { id }).await;
    assert_eq!(refusal(again), (Code::NotFound, "etcdserver: requested lease not found".to_owned()));
    let asked = LeaseTimeToLiveRequest { id, keys: false };
    let gone = leases.lease_time_to_live(asked).await.expect("an answer").into_inner();
    assert_eq!((gone.id, gone.ttl, gone.granted_ttl), (id, -1, 0));
}

#[tokio::test]
async fn a_chosen_id_is_taken_once_and_a_ttl_has_bounds() {
    let cluster = Cluster::shared();
    let mut leases = cluster.lease(2).await;
    let request = LeaseGrantRequest { ttl: 60, id: 4711 };
    assert_eq!(leases.lease_grant(request).await.expect("a lease").into_inner().id, 4711);
    assert_eq!(
        refusal(leases.lease_grant(request).await),
        (Code::FailedPrecondition, "etcdserver: lease already exists".to_owned())
    );
    assert_eq!(
        refusal(leases.lease_grant(LeaseGrantRequest { ttl: 9_000_000_001, id: 0 }).await),
        (Code::OutOfRange, "etcdserver: too large lease TTL".to_owned())
    );
    let shortest = leases.lease_grant(LeaseGrantRequest { ttl: 0, id: 0 }).await.expect("a lease").into_inner();
    assert!(shortest.ttl >= 1, "the floor is above zero");
}

#[tokio::test]
async fn renewals_are_answered_in_order_and_a_missing_lease_has_ttl_zero() {
    let cluster = Cluster::shared();
    let mut leases = cluster.lease(1).await;
    let id = leases.lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await.expect("a lease").into_inner().id;
    let asked = [id, 999_999, id].map(|id| LeaseKeepAliveRequest { id });
    let answers = leases.lease_keep_alive(tokio_stream::iter(asked)).await.expect("a stream");
    let mut answers = answers.into_inner();
    let mut seen = Vec::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        assert!(answer.header.expect("a header").revision > 0);
        seen.push((answer.id, answer.ttl));
    }
    assert_eq!(seen, [(id, 60), (999_999, 0), (id, 60)]);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_runs_out_on_all_members() {
    let cluster = Cluster::shared();
    let mut leases = cluster.lease(0).await;
    let mut kv = cluster.kv(0).await;
    let id = leases.lease_grant(LeaseGrantRequest { ttl: 1, id: 0 }).await.expect("a lease").into_inner().id;
    kv.put(PutRequest { lease: id, ..put_request("expire/a", "1") }).await.expect("a put");
    for member in 0..3 {
        let kv = cluster.kv(member).await;
        eventually("the key to go", || {
            let mut kv = kv.clone();
            async move {
                let found = kv.range(range_request("expire/a", "")).await.expect("a range").into_inner();
                (found.count == 0).then_some(())
            }
        })
        .await;
    }
}
