//! When everything heals, the cluster works again: one leader, every member takes writes, all have the same content,
//! watchers have caught up, and leases that nobody renews are gone.

use std::time::Duration;

use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};

use super::Invariants;
use crate::cluster::Cluster;
use crate::workload;

/// How long that may take: an election, a snapshot, the longest lease of the workload, and room.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until it is so; otherwise tells what is not.
pub async fn check(cluster: &Cluster, invariants: &Invariants) {
    let mut missing = "nothing was looked at";
    let wait = async {
        loop {
            match what_is_missing(cluster, invariants).await {
                None => return,
                Some(what) => missing = what,
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        let status: Vec<_> =
            cluster.up().into_iter().map(|i| (i, cluster.handle(i).map(|handle| handle.status()))).collect();
        invariants.violated("converge", format!("{missing}: {status:?}"));
    }
}

async fn what_is_missing(cluster: &Cluster, invariants: &Invariants) -> Option<&'static str> {
    if cluster.answering().len() < cluster.size() {
        return Some("not all members run");
    }
    if cluster.leaders().len() != 1 {
        return Some("there is not one leader");
    }
    for member in 0..cluster.size() {
        let put = PutRequest { key: "converge".into(), value: format!("{member}").into(), ..PutRequest::default() };
        let Some(Ok(_)) = cluster.call(member, move |handle| async move { handle.put(put).await }).await else {
            return Some("a member does not take writes");
        };
    }
    let leased = RangeRequest {
        key: workload::leases::PREFIX.into(),
        range_end: workload::end_of(workload::leases::PREFIX),
        ..RangeRequest::default()
    };
    match cluster.call(0, move |handle| async move { handle.range(leased).await }).await {
        Some(Ok(answer)) if answer.kvs.is_empty() => {}
        _ => return Some("leases did not end"),
    }
    // Followers hear of what is committed with the next heartbeat.
    tokio::time::sleep(PAUSE).await;
    let revisions: Vec<i64> = cluster.up().into_iter().filter_map(|i| Some(cluster.handle(i)?.revision())).collect();
    if revisions.iter().any(|revision| *revision != revisions[0]) {
        return Some("members have different revisions");
    }
    if invariants.watches.slowest() < revisions[0] {
        return Some("watchers have not caught up");
    }
    invariants.hash_kv.check(cluster).await;
    None
}
