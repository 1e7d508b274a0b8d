//! The Lock service: one holder at a time, whoever comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keelson_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
use keelson_proto::v3lockpb::{LockRequest, UnlockRequest};
use tonic::Code;

use crate::cluster::Cluster;
use crate::kv::range_request;
use crate::{PATIENCE, eventually, refusal};

pub async fn lease(cluster: &Cluster, ttl: i64) -> i64 {
    let request = LeaseGrantRequest { ttl, id: 0 };
    cluster.lease(0).await.lease_grant(request).await.expect("a lease").into_inner().id
}

pub async fn revoke(cluster: &Cluster, id: i64) {
    cluster.lease(0).await.lease_revoke(LeaseRevokeRequest { id }).await.expect("a revocation");
}

/// Waits until so many candidates are in the queue of `name`.
pub async fn queued(cluster: &Cluster, name: &str, count: i64) {
    let mut kv = cluster.kv(0).await;
    let all = range_request(&format!("{name}/"), &format!("{name}0"));
    eventually("the queue", || {
        let (mut kv, all) = (kv.clone(), all.clone());
        async move { (kv.range(all).await.expect("a range").into_inner().count == count).then_some(()) }
    })
    .await;
    drop(kv.range(all).await);
}

fn request(name: &str, lease: i64) -> LockRequest {
    LockRequest { name: name.to_owned().into(), lease }
}

async fn acquire(cluster: &Cluster, member: usize, name: &str, lease: i64) -> bytes::Bytes {
    let mut client = cluster.lock(member).await;
    let locked = tokio::time::timeout(PATIENCE, client.lock(request(name, lease))).await.expect("in time");
    let locked = locked.expect("the lock").into_inner();
    assert!(locked.header.expect("a header").revision > 0);
    locked.key
}

async fn release(cluster: &Cluster, member: usize, key: bytes::Bytes) {
    cluster.lock(member).await.unlock(UnlockRequest { key }).await.expect("an unlock");
}

#[tokio::test]
async fn a_lock_is_a_key_of_its_lease_and_the_same_lease_locks_again_at_once() {
    let cluster = Cluster::shared();
    let id = lease(&cluster, 600).await;
    let key = acquire(&cluster, 0, "lock/again", id).await;
    assert_eq!(key, format!("lock/again/{id:x}"));
    let mut kv = cluster.kv(1).await;
    let held = kv.range(range_request(&format!("lock/again/{id:x}"), "")).await.expect("a range").into_inner();
    assert_eq!((held.kvs[0].lease, held.kvs[0].value.len(), held.kvs[0].version), (id, 0, 1));
    assert_eq!(acquire(&cluster, 2, "lock/again", id).await, key);
    let again = kv.range(range_request(&format!("lock/again/{id:x}"), "")).await.expect("a range").into_inner();
    assert_eq!(again.kvs, held.kvs, "nothing was written");
    release(&cluster, 1, key.clone()).await;
    release(&cluster, 1, key).await;
    queued(&cluster, "lock/again", 0).await;

    // Without a lease, one is made.
    let key = acquire(&cluster, 0, "lock/none", 0).await;
    let held = kv.range(range_request(std::str::from_utf8(&key).expect("text"), "")).await.expect("a range");
    let own = held.into_inner().kvs[0].lease;
    assert_eq!(key, format!("lock/none/{own:x}"));
    revoke(&cluster, own).await;
    let (code, message) = refusal(cluster.lock(0).await.lock(request("lock/none", 12345)).await);
    assert_eq!((code, message.as_str()), (Code::NotFound, "etcdserver: requested lease not found"));
}

#[tokio::test]
async fn many_clients_on_all_members_hold_a_lock_one_at_a_time() {
    let cluster = Cluster::shared();
    let holders = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..12 {
        let (cluster, holders) = (Arc::clone(&cluster), Arc::clone(&holders));
        clients.spawn(async move {
            let id = lease(&cluster, 600).await;
            for _ in 0..5 {
                let key = acquire(&cluster, client % 3, "lock/many", id).await;
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "somebody else holds it");
                tokio::task::yield_now().await;
                holders.fetch_sub(1, Ordering::SeqCst);
                release(&cluster, client % 3, key).await;
            }
        });
    }
    clients.join_all().await;
    queued(&cluster, "lock/many", 0).await;
}

#[tokio::test]
async fn a_lock_is_handed_over_in_the_order_of_asking_when_its_lease_ends() {
    let cluster = Cluster::shared();
    // The first must live until the others wait for it, on a busy machine, too.
    let (first, second, third) = (lease(&cluster, 10).await, lease(&cluster, 600).await, lease(&cluster, 600).await);
    let name = "lock/expiry";
    acquire(&cluster, 0, name, first).await;
    let waiting = |id| {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { acquire(&cluster, 1, name, id).await })
    };
    let second_waits = waiting(second);
    queued(&cluster, name, 2).await;
    let third_waits = waiting(third);
    queued(&cluster, name, 3).await;
    // Nobody renews the first lease.
    let key = second_waits.await.expect("the lock");
    assert!(!third_waits.is_finished());
    release(&cluster, 0, key).await;
    release(&cluster, 0, third_waits.await.expect("the lock")).await;
}

#[tokio::test]
async fn one_whose_lease_ends_while_it_waits_does_not_get_the_lock() {
    let cluster = Cluster::shared();
    let (first, second) = (lease(&cluster, 600).await, lease(&cluster, 600).await);
    let name = "lock/ended";
    let key = acquire(&cluster, 0, name, first).await;
    let mut client = cluster.lock(1).await;
    let waiting = tokio::spawn(async move { client.lock(request(name, second)).await });
    queued(&cluster, name, 2).await;
    revoke(&cluster, second).await;
    let refused = tokio::time::timeout(PATIENCE, waiting).await.expect("it is told while the other still holds it");
    let expected = (Code::Unknown, "mutex: session is expired".to_owned());
    assert_eq!(refusal(refused.expect("no panic")), expected);
    release(&cluster, 0, key).await;
}

#[tokio::test]
async fn one_who_goes_away_leaves_the_queue() {
    let cluster = Cluster::shared();
    let (first, second, third) = (lease(&cluster, 600).await, lease(&cluster, 600).await, lease(&cluster, 600).await);
    let name = "lock/gone";
    let key = acquire(&cluster, 0, name, first).await;
    let mut client = cluster.lock(1).await;
    let goes = tokio::spawn(async move { client.lock(request(name, second)).await });
    queued(&cluster, name, 2).await;
    let waits = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { acquire(&cluster, 2, name, third).await })
    };
    queued(&cluster, name, 3).await;
    goes.abort();
    queued(&cluster, name, 2).await;
    assert!(!waits.is_finished(), "the lock is still held");
    release(&cluster, 0, key).await;
    let key = waits.await.expect("the lock");
    release(&cluster, 0, key).await;
}

#[tokio::test]
async fn those_who_wait_are_bounded() {
    let cluster = Cluster::start_with(false, |options| options.etcd.waiters_max = 2);
    let key = acquire(&cluster, 0, "lock", lease(&cluster, 600).await).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let (id, mut client) = (lease(&cluster, 600).await, cluster.lock(0).await);
        waiting.push(tokio::spawn(async move {
            client.lock(request("lock", id)).await.map(|locked| locked.into_inner().key)
        }));
    }
    queued(&cluster, "lock", 3).await;
    let id = lease(&cluster, 600).await;
    let refused = refusal(cluster.lock(0).await.lock(request("lock", id)).await);
    assert_eq!(refused, (Code::ResourceExhausted, "etcdserver: too many requests".to_owned()));
    // Each handover makes room.
    release(&cluster, 0, key).await;
    for waiting in waiting {
        let key = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic").expect("the lock");
        release(&cluster, 0, key).await;
    }
    acquire(&cluster, 0, "lock", id).await;
}

#[tokio::test]
async fn a_lock_outlives_a_change_of_the_leader() {
    let cluster = Arc::new(Cluster::start(false));
    let (leader, follower) = cluster.leader_and_follower().await;
    let (first, second) = (lease(&cluster, 600).await, lease(&cluster, 600).await);
    let key = acquire(&cluster, follower, "lock", first).await;
    let waiting = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { acquire(&cluster, leader, "lock", second).await })
    };
    queued(&cluster, "lock", 2).await;
    cluster.members[leader].handle.move_leader(None).await.expect("another leader");
    assert!(!waiting.is_finished(), "the lock is still held");
    release(&cluster, follower, key).await;
    assert_eq!(waiting.await.expect("the lock"), format!("lock/{second:x}"));
}
