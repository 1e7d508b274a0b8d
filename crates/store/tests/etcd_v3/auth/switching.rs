//! Authentication is switched on and off while clients write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keelson_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, RequestOp,
    TxnRequest, request_op::Request as Op,
};
use tonic::{Code, Status};

use super::guarded::{Guarded, auth, token_of, with};
use crate::eventually;
use crate::kv::put_request;

/// Writers on each member, so that commands are in flight at the moment of the change.
const WRITERS: usize = 8;
const ROUNDS: usize = 6;

/// A write that is let through, or refused for the one reason that there is.
fn check(outcome: Result<(), Status>, done: &AtomicUsize, refused: &AtomicUsize) {
    match outcome {
        Ok(()) => done.fetch_add(1, Ordering::Relaxed),
        Err(status) => {
            let words = (status.code(), status.message());
            assert_eq!(words, (Code::InvalidArgument, "etcdserver: user name is empty"));
            refused.fetch_add(1, Ordering::Relaxed)
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_say_nothing_of_themselves_see_on_or_off_and_nothing_between() {
    let guarded = Guarded::start().await;
    let cluster = &guarded.cluster;
    let mut admin = auth(cluster, 0).await;
    admin.auth_disable(with(&guarded.root, AuthDisableRequest {})).await.expect("root may");
    let stop = Arc::new(AtomicBool::new(false));
    let (done, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS * 3 {
        let (mut kv, mut lease) = (cluster.kv(writer % 3).await, cluster.lease(writer % 3).await);
        let (stop, done, refused) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&refused));
        writers.spawn(async move {
            let key = format!("switching/{writer}");
            while !stop.load(Ordering::Relaxed) {
                let put = put_request(&key, "1");
                check(kv.put(put.clone()).await.map(drop), &done, &refused);
                let success = vec![RequestOp { request: Some(Op::RequestPut(put)) }];
                check(kv.txn(TxnRequest { success, ..TxnRequest::default() }).await.map(drop), &done, &refused);
                let delete = DeleteRangeRequest { key: key.clone().into(), ..DeleteRangeRequest::default() };
                check(kv.delete_range(delete).await.map(drop), &done, &refused);
                check(lease.lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await.map(drop), &done, &refused);
            }
        });
    }
    for _ in 0..ROUNDS {
        let (before, refused_before) = (done.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        let writing = || async { (done.load(Ordering::Relaxed) > before + WRITERS).then_some(()) };
        eventually("writes while it is off", writing).await;
        // Another member's requests of root race as well.
        let compact = tokio::spawn({
            let mut kv = cluster.kv(1).await;
            async move { kv.compact(CompactionRequest { revision: 1, physical: false }).await.map(drop) }
        });
        admin.auth_enable(AuthEnableRequest {}).await.expect("it can be switched on");
        let compacted = compact.await.expect("no panic");
        let old = compacted.is_err_and(|status| status.message() == "etcdserver: revision of auth store is old");
        assert!(!old, "a compaction");
        let refusing = || async { (refused.load(Ordering::Relaxed) > refused_before + WRITERS).then_some(()) };
        eventually("refusals while it is on", refusing).await;
        let root = token_of(&mut admin, "root").await;
        admin.auth_disable(with(&root, AuthDisableRequest {})).await.expect("root may");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer.expect("a writer saw something else");
    }
}
