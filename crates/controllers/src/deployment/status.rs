//! What a Deployment tells about its ReplicaSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSetStatus};

use super::rollout::Created;
use super::{Bounds, Sets, condition};

/// The status of `deployment` when these are its sets.
pub fn observe(deployment: &Deployment, sets: &Sets, created: Option<Created>, now: Timestamp) -> DeploymentStatus {
    let old = deployment.status.clone().unwrap_or_default();
    let told = |count: &dyn Fn(&ReplicaSetStatus) -> i32| -> i32 {
        sets.all.iter().filter_map(|set| set.now.status.as_ref()).map(count).sum()
    };
    let available = told(&|status| status.available_replicas.unwrap_or(0));
    let updated = sets.new_set().and_then(|set| set.now.status.as_ref()).map_or(0, |status| status.replicas);
    let some = |count: i32| (count > 0).then_some(count);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(told(&|status| status.replicas)),
        updated_replicas: some(updated),
        ready_replicas: some(told(&|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((sets.total() - available).max(0)),
        collision_count: old.collision_count,
        terminating_replicas: old.terminating_replicas,
        conditions: old.conditions.clone(),
    };
    if created == Some(Created::Collision) {
        status.collision_count = Some(old.collision_count.unwrap_or(0).saturating_add(1));
    }
    if let Some(spec) = &deployment.spec {
        condition::set_available(&mut status, available >= Bounds::of(spec).available_min(), now);
    }
    condition::set_progress(deployment, &old, &mut status, sets, created, now);
    status
}

/// Whether the rollout has reached its end.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    status.updated_replicas.unwrap_or(0) == replicas
        && status.replicas.unwrap_or(0) == replicas
        && status.available_replicas.unwrap_or(0) == replicas
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// Whether `new` shows more done than `old`.
pub fn is_progress(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let updated = |status: &DeploymentStatus| status.updated_replicas.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - updated(status);
    updated(new) > updated(old)
        || outdated(new) < outdated(old)
        || new.ready_replicas.unwrap_or(0) > old.ready_replicas.unwrap_or(0)
        || new.available_replicas.unwrap_or(0) > old.available_replicas.unwrap_or(0)
}
