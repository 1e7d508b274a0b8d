//! When everything heals, the cluster works again: one leader, every member takes writes, all have the same content,
//! watchers have caught up, and leases that nobody renews are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};

use super::Invariants;
use crate::cluster::{Cluster, Listed};
use crate::workload;

/// How long that may take: an election, a snapshot, the longest lease of the workload, and room.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until it is so; otherwise tells what is not.
pub async fn check(cluster: &Arc<Cluster>, invariants: &Invariants) {
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

/// Whether one that was removed knows anybody who could tell it: all whom it knew may have gone after it.
fn could_know(cluster: &Cluster, place: usize, listed: &[Listed]) -> bool {
    let known = cluster.handle(place).map(|handle| handle.members());
    known.is_none_or(|known| known.iter().any(|member| listed.iter().any(|other| other.id == member.id)))
}

async fn what_is_missing(cluster: &Arc<Cluster>, invariants: &Invariants) -> Option<&'static str> {
    let mut listed = None;
    for member in cluster.answering() {
        listed = listed.or(cluster.list(member).await);
    }
    let Some(listed) = listed else { return Some("nobody lists the members") };
    cluster.adopt(&listed).expect("the real disk works");
    let places: BTreeSet<usize> = listed.iter().map(|member| member.place).collect();
    // One that nobody knew in time while everything was broken has ended, and somebody starts it again.
    for place in places.iter().copied() {
        cluster.start(place).expect("the real disk works");
    }
    let answering: BTreeSet<usize> = cluster.answering().into_iter().collect();
    if !places.is_subset(&answering) {
        return Some("not all members run");
    }
    if cluster.up().into_iter().any(|place| !places.contains(&place) && could_know(cluster, place, &listed)) {
        return Some("a member that was removed goes on");
    }
    if cluster.leaders().len() != 1 {
        return Some("there is not one leader");
    }
    // Nobody is left who could tell these that they were removed, and nobody hears from them; only clients would stay with them.
    for place in cluster.up().into_iter().filter(|place| !places.contains(place)) {
        cluster.vacate(place).expect("the real disk works");
    }
    for member in places.iter().copied() {
        let put = PutRequest { key: "converge".into(), value: format!("{member}").into(), ..PutRequest::default() };
        let Some(Ok(_)) = cluster.call(member, move |handle| async move { handle.put(put).await }).await else {
            return Some("a member does not take writes");
        };
    }
    let Some(leader) = cluster.leaders().first().copied() else { return Some("nobody leads") };
    let asked = cluster.call(leader, |handle| async move { handle.member_statuses().await }).await;
    let votes =
        |id: u64| asked.iter().flatten().any(|status| status.id == id && status.voter && status.error.is_empty());
    if listed.iter().any(|member| !member.started || votes(member.id) == member.learner) {
        return Some("consensus does not follow the list of members");
    }
    let leased = RangeRequest {
        key: workload::leases::PREFIX.into(),
        range_end: workload::end_of(workload::leases::PREFIX),
        ..RangeRequest::default()
    };
    match cluster.call(leader, move |handle| async move { handle.range(leased).await }).await {
        Some(Ok(answer)) if answer.kvs.is_empty() => {}
        _ => return Some("leases did not end"),
    }
    // Followers hear of what is committed with the next heartbeat.
    tokio::time::sleep(PAUSE).await;
    let revisions: Vec<i64> = places.iter().filter_map(|i| Some(cluster.handle(*i)?.revision())).collect();
    if revisions.iter().any(|revision| *revision != revisions[0]) {
        return Some("members have different revisions");
    }
    if invariants.watches.slowest() < revisions[0] {
        return Some("watchers have not caught up");
    }
    invariants.hash_kv.check(cluster).await;
    None
}
