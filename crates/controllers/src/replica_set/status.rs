//! What a ReplicaSet tells about its pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use keelson_types::pods;
use keelson_types::selector::LabelSelector;

/// The status of `set` when these are its active pods.
pub fn observe(set: &ReplicaSet, active: &[&Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> ReplicaSetStatus {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()).and_then(|t| t.metadata.as_ref());
    let template_labels = template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let fully = LabelSelector::from_map(&template_labels);
    let count =
        |test: &dyn Fn(&Pod) -> bool| i32::try_from(active.iter().filter(|pod| test(pod)).count()).unwrap_or(i32::MAX);
    let some = |count: i32| (count > 0).then_some(count);
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: some(count(&|pod| fully.matches(&pod.metadata.labels))),
        ready_replicas: some(count(&pods::is_ready)),
        available_replicas: some(count(&|pod| pods::is_available(pod, min_ready_seconds, now))),
        observed_generation: set.metadata.generation,
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
        terminating_replicas: set.status.as_ref().and_then(|status| status.terminating_replicas),
    }
}

/// When the next ready pod becomes available.
pub fn next_available(active: &[&Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> Duration {
    let waits = active.iter().filter(|pod| !pods::is_available(pod, min_ready_seconds, now)).filter_map(|pod| {
        let ready = pods::condition(pod, "Ready").filter(|ready| ready.status == "True")?;
        let since = ready.last_transition_time.as_ref()?.0;
        let waited = now.duration_since(since).as_secs();
        u64::try_from(i64::from(min_ready_seconds) - waited).ok()
    });
    Duration::from_secs(waits.min().unwrap_or(1).max(1))
}
