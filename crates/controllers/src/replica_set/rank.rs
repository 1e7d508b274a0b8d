//! Which pods of a ReplicaSet go first.
//!
//! Source: Kubernetes' `ActivePodsWithRanks`. In this order, a pod goes before another when it is not assigned to a node;
//! is pending rather than unknown rather than running; is not ready; has the lower `pod-deletion-cost`; shares its node with
//! more related pods; was ready for a shorter time; had more restarts; is younger.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use keelson_types::{meta, pods};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The first `count` pods to go.
pub fn surplus<'a>(
    active: &[&'a Arc<Pod>],
    related_on_node: &HashMap<String, usize>,
    count: usize,
    now: Timestamp,
) -> Vec<&'a Arc<Pod>> {
    let mut ranked = active.to_vec();
    ranked.sort_by(|a, b| compare(a, b, related_on_node, now));
    ranked.truncate(count);
    ranked
}

/// `Less` when `a` goes before `b`.
pub fn compare(a: &Pod, b: &Pod, related_on_node: &HashMap<String, usize>, now: Timestamp) -> Ordering {
    let assigned = |pod: &Pod| !pods::node_name(pod).is_empty();
    let phase = |pod: &Pod| match pods::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = |pod: &Pod| meta::annotation(pod, DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0i32);
    let related = |pod: &Pod| Reverse(related_on_node.get(pods::node_name(pod)).copied().unwrap_or(0));
    // Logarithmic, so that pods of about the same age are told apart by something else than their age.
    let age = |since: Option<Timestamp>| {
        since.map_or(0, |since| {
            let seconds = now.duration_since(since).as_secs().max(0).unsigned_abs();
            u64::BITS - seconds.leading_zeros()
        })
    };
    let ready_for = |pod: &Pod| {
        let ready = pods::condition(pod, "Ready").filter(|ready| ready.status == "True");
        age(ready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0))
    };
    let created_for = |pod: &Pod| age(pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let name = |pod: &Pod| meta::uid(pod).to_owned();
    assigned(a)
        .cmp(&assigned(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| pods::is_ready(a).cmp(&pods::is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| related(a).cmp(&related(b)))
        .then_with(|| ready_for(a).cmp(&ready_for(b)))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| created_for(a).cmp(&created_for(b)))
        .then_with(|| name(a).cmp(&name(b)))
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).max().unwrap_or(0)
}
