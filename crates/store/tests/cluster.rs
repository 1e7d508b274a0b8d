//! Three members over real TCP and TLS: elections, replication, reads, restarts, lost data, leases.

mod common;

use std::time::{Duration, Instant};

use common::{Cluster, eventually};
use keelson_proto::etcdserverpb::{
    DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    RequestOp, TxnRequest, request_op::Request,
};
use keelson_store::{Error, Handle, watch};

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

fn get(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

async fn value(handle: &Handle, request: RangeRequest) -> Option<String> {
    let response = handle.range(request).await.expect("the read is answered");
    let pair = response.kvs.into_iter().next()?;
    Some(String::from_utf8(pair.value.to_vec()).expect("text"))
}

/// Waits until a key that was put is deleted.
async fn deleted(handle: &Handle, key: &'static str) {
    let mut watcher = handle.watch(watch::Options {
        key: key.into(),
        range_end: Vec::new().into(),
        start_revision: 1,
        prev_kv: false,
        no_put: true,
        no_delete: false,
        max_buffered_bytes: 1 << 20,
    });
    let event = async { while !matches!(watcher.next().await.expect("runs"), watch::Item::Events { .. }) {} };
    tokio::time::timeout(common::PATIENCE, event).await.unwrap_or_else(|_| panic!("{key} is not deleted in time"));
}

/// Puts until it is accepted: an outcome may be unknown while leaders change.
async fn put_for_sure(handle: &Handle, key: &str, text: &str) {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        match handle.put(put(key, text)).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "the put is not accepted: {error}"),
        }
    }
}

#[test]
fn a_write_through_any_member_is_read_on_every_member() {
    let cluster = Cluster::start(3);
    for writer in 0..3 {
        let text = format!("from m{}", writer + 1);
        cluster.on(writer, put_for_sure(&cluster.handle(writer), "key", &text));
        for reader in 0..3 {
            let found = cluster.on(reader, value(&cluster.handle(reader), get("key")));
            assert_eq!(found.as_deref(), Some(text.as_str()), "written on {writer}, read on {reader}");
        }
    }
    // Who is too busy to answer at once is told as one that does not.
    eventually("the status of every member", || {
        let statuses = cluster.on(0, cluster.handle(0).member_statuses());
        assert_eq!(statuses.len(), 3);
        let all_answer = statuses.iter().all(|status| status.error.is_empty());
        (all_answer && statuses.iter().filter(|status| status.leader).count() == 1).then_some(())
    });
}

#[test]
fn one_member_is_a_cluster() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, put_for_sure(&cluster.handle(0), "key", "1"));
    cluster.kill(0);
    cluster.start_member(0);
    cluster.leader();
    assert_eq!(cluster.on(0, value(&cluster.handle(0), get("key"))).as_deref(), Some("1"));
}

#[test]
fn a_killed_leader_is_replaced_and_catches_up() {
    let mut cluster = Cluster::start(3);
    let old = cluster.leader();
    cluster.on(old, put_for_sure(&cluster.handle(old), "before", "1"));
    cluster.kill(old);
    let other = cluster.running()[0];
    let killed = Instant::now();
    cluster.on(other, put_for_sure(&cluster.handle(other), "after", "2"));
    println!("writes were accepted again after {:?}", killed.elapsed());
    let leader = cluster.leader();
    assert_ne!(leader, old);
    assert_eq!(cluster.on(leader, value(&cluster.handle(leader), get("before"))).as_deref(), Some("1"));
    cluster.start_member(old);
    assert_eq!(cluster.on(old, value(&cluster.handle(old), get("after"))).as_deref(), Some("2"));
}

#[test]
fn nothing_acknowledged_is_lost_when_all_members_are_killed() {
    let mut cluster = Cluster::start(3);
    let handle = cluster.handle(0);
    cluster.on(0, async {
        let puts = (0..200).map(|i| {
            let handle = handle.clone();
            async move { put_for_sure(&handle, &format!("key-{i}"), &i.to_string()).await }
        });
        futures::future::join_all(puts).await;
    });
    drop(handle);
    for member in 0..3 {
        cluster.kill(member);
    }
    for member in 0..3 {
        cluster.start_member(member);
    }
    cluster.leader();
    for i in 0..200 {
        let found = cluster.on(1, value(&cluster.handle(1), get(&format!("key-{i}"))));
        assert_eq!(found, Some(i.to_string()));
    }
}

#[test]
fn a_stopped_leader_hands_over_without_an_election_timeout() {
    // Far longer than it takes to hand over, on a busy machine, too.
    let election = Duration::from_secs(15);
    let mut cluster = Cluster::start_with(3, |options| {
        (options.election_timeout_min, options.election_timeout_max) = (election, election + election / 4);
    });
    let old = cluster.leader();
    cluster.on(old, put_for_sure(&cluster.handle(old), "key", "1"));
    cluster.stop(old);
    let stopped = Instant::now();
    let next = cluster.leader();
    assert!(stopped.elapsed() < election, "nobody led for {:?}", stopped.elapsed());
    cluster.on(next, put_for_sure(&cluster.handle(next), "key", "2"));
}

#[test]
fn leadership_moves_to_the_member_that_is_asked_for() {
    let cluster = Cluster::start(3);
    let follower = cluster.follower();
    let target = cluster.handle(follower).member_id();
    // Asked on the follower itself, so that it is forwarded, too. A busy machine may elect another one at any time.
    eventually("it moves", || {
        let moved = cluster.on(follower, cluster.handle(follower).move_leader(Some(target))).ok()?;
        assert_eq!(moved.0, target);
        cluster.handle(follower).leadership().borrow().leading.then_some(())
    });
    let wrong = cluster.on(follower, cluster.handle(follower).move_leader(Some(17)));
    assert!(matches!(wrong, Err(Error::BadTransferee)), "{wrong:?}");
}

#[test]
fn a_fence_of_an_earlier_term_is_refused() {
    let cluster = Cluster::start(3);
    let txn = || TxnRequest {
        success: vec![RequestOp { request: Some(Request::RequestPut(put("fenced", "1"))) }],
        ..TxnRequest::default()
    };
    // Leaders may change at any time on a busy machine.
    let term = eventually("the own term is accepted", || {
        let leader = cluster.leader();
        let term = cluster.handle(leader).leadership().borrow().term;
        cluster.on(leader, cluster.handle(leader).txn(txn(), term)).ok().map(|_| term)
    });
    let next = eventually("a later term", || {
        let leader = cluster.leader();
        drop(cluster.on(leader, cluster.handle(leader).move_leader(None)));
        let leader = cluster.leader();
        let now = cluster.handle(leader).leadership().borrow().term;
        (now > term).then_some(leader)
    });
    let refused = eventually("an answer", || match cluster.on(next, cluster.handle(next).txn(txn(), term)) {
        Err(Error::NoLeader | Error::Unknown) => None,
        answer => Some(answer),
    });
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
}

#[test]
fn a_lease_lives_while_it_is_renewed_and_takes_its_keys_along() {
    // A machine that is busy with other tests must not let it pass between two renewals.
    const TTL_SECONDS: i64 = 6;
    let cluster = Cluster::start(3);
    let follower = cluster.follower();
    let handle = cluster.handle(follower);
    cluster.on(follower, async {
        let lease = handle.lease_grant(LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 }).await.expect("granted");
        assert_ne!(lease.id, 0);
        handle.put(PutRequest { lease: lease.id, ..put("leased", "1") }).await.expect("attached");
        // One that nobody renews ends no sooner than the other would.
        let left = handle.lease_grant(LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 }).await.expect("granted");
        handle.put(PutRequest { lease: left.id, ..put("left", "1") }).await.expect("attached");
        let mut ended = Box::pin(deleted(&handle, "left"));
        while futures::poll!(&mut ended).is_pending() {
            let renewed = handle.lease_keep_alive(LeaseKeepAliveRequest { id: lease.id }).await.expect("renewed");
            assert_eq!(renewed.ttl, TTL_SECONDS);
        }
        let request = LeaseTimeToLiveRequest { id: lease.id, keys: true };
        let left = handle.lease_time_to_live(request).await.expect("alive");
        assert_eq!((left.granted_ttl, left.keys.len()), (TTL_SECONDS, 1));
        deleted(&handle, "leased").await;
        assert_eq!(value(&handle, get("leased")).await, None);
        let gone = handle.lease_keep_alive(LeaseKeepAliveRequest { id: lease.id }).await;
        assert!(matches!(gone, Err(Error::LeaseNotFound)), "{gone:?}");
    });
}

#[test]
fn a_wiped_follower_comes_back_by_snapshot_while_writes_go_on() {
    let mut cluster = Cluster::start_with(3, |options| {
        options.snapshot_every_entries = 20;
        options.log_entries_to_keep = 5;
    });
    let wiped = cluster.follower();
    let writer = cluster.leader();
    let handle = cluster.handle(writer);
    cluster.on(writer, async {
        for i in 0..100 {
            put_for_sure(&handle, &format!("key-{i}"), "before").await;
        }
    });
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.on(writer, async {
        for i in 0..100 {
            put_for_sure(&handle, &format!("key-{i}"), "between").await;
        }
    });
    cluster.start_member(wiped);
    let again = cluster.handle(wiped);
    cluster.on(writer, async {
        let (mut i, wanted) = (0, handle.revision() + 100);
        let deadline = Instant::now() + common::PATIENCE;
        while again.revision() < wanted {
            put_for_sure(&handle, &format!("key-{}", i % 100), "after").await;
            i += 1;
            assert!(Instant::now() < deadline, "the wiped member is at {} of {wanted}", again.revision());
        }
    });
    let revision = handle.revision();
    let hashes: Vec<u32> = (0..3)
        .map(|member| {
            cluster.on(member, async {
                cluster.handle(member).read_barrier().await.expect("reads");
                cluster.handle(member).hash_kv(revision).await.expect("hashes").hash
            })
        })
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    // It is a full member again: with another one gone it makes the quorum.
    drop(handle);
    drop(again);
    let other = (0..3).find(|member| *member != wiped && *member != writer).expect("a third member");
    cluster.kill(other);
    cluster.on(wiped, put_for_sure(&cluster.handle(wiped), "at last", "1"));
}

#[test]
fn a_folder_of_another_cluster_or_in_use_is_refused() {
    let mut cluster = Cluster::start(1);
    let text = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    };
    let (peer, store) = (common::free_address(), common::free_address());
    let options = cluster.options(0);
    (options.listen_peer, options.listen_store) = (peer, store);
    let error = cluster.try_start(0).err().expect("it is refused");
    assert!(text(&error).contains("already in use by another process"), "{}", text(&error));
    cluster.kill(0);
    cluster.options(0).cluster_token = "another".to_owned();
    // The killed member's log thread lets go of the folder a moment after the member is gone.
    let error = eventually("the folder is free", || {
        let error = cluster.try_start(0).err().expect("it is refused");
        (!text(&error).contains("already in use")).then_some(error)
    });
    assert!(text(&error).contains("belongs to member"), "{}", text(&error));
}

#[test]
fn requests_that_are_too_large_are_refused() {
    let cluster = Cluster::start(1);
    let large = "x".repeat(2 << 20);
    let refused = cluster.on(0, cluster.handle(0).put(put("large", &large)));
    assert!(matches!(refused, Err(Error::TooLarge)), "{refused:?}");
    let fits = "x".repeat(1 << 20);
    cluster.on(0, cluster.handle(0).put(put("large", &fits))).expect("it fits");
}

#[test]
fn a_disk_without_room_refuses_new_data_and_serves_and_deletes_what_there_is() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, cluster.handle(0).put(put("kept", "value"))).expect("there is room");
    cluster.stop(0);
    // No disk has so much free: what the member sees is a disk that has become full.
    cluster.options(0).min_free_disk_bytes = u64::MAX;
    cluster.start_member(0);
    eventually("new data is refused", || {
        let refused = cluster.on(0, cluster.handle(0).put(put("refused", "value")));
        matches!(refused, Err(Error::NoSpace)).then_some(())
    });
    let handle = cluster.handle(0);
    assert_eq!(cluster.on(0, value(&handle, get("kept"))).as_deref(), Some("value"));
    let delete = DeleteRangeRequest { key: "kept".into(), ..DeleteRangeRequest::default() };
    let deleted = cluster.on(0, handle.delete_range(delete)).expect("deleting needs no room");
    assert_eq!(deleted.deleted, 1);
}
