//! The conditions Available and Progressing, in Kubernetes' words.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use keelson_types::meta;

use super::Sets;
use super::rollout::Created;
use super::status::{is_complete, is_progress};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

pub fn get<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Sets a condition. Nothing changes when status and reason stay; the transition time stays when the status stays.
fn set(
    status: &mut DeploymentStatus,
    kind: &str,
    value: &str,
    reason: &str,
    message: String,
    now: Timestamp,
    renew: bool,
) {
    let old = get(status, kind).cloned();
    let same_value = old.as_ref().is_some_and(|old| old.status == value);
    if same_value && !renew && old.as_ref().and_then(|old| old.reason.as_deref()) == Some(reason) {
        return;
    }
    let time = Some(meta::whole_seconds(now));
    let transition = old.filter(|_| same_value).and_then(|old| old.last_transition_time);
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(DeploymentCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: time.clone(),
        last_transition_time: transition.or(time),
    });
}

pub(super) fn set_available(status: &mut DeploymentStatus, available: bool, now: Timestamp) {
    if available {
        let message = "Deployment has minimum availability.".to_owned();
        set(status, AVAILABLE, "True", "MinimumReplicasAvailable", message, now, false);
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        set(status, AVAILABLE, "False", "MinimumReplicasUnavailable", message, now, false);
    }
}

/// Seconds without progress after which a rollout counts as failed; absent when it never does.
fn deadline_seconds(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).filter(|seconds| *seconds != i32::MAX)
}

pub(super) fn set_progress(
    deployment: &Deployment,
    old: &DeploymentStatus,
    status: &mut DeploymentStatus,
    sets: &Sets,
    created: Option<Created>,
    now: Timestamp,
) {
    if deadline_seconds(deployment).is_none() {
        if let Some(conditions) = &mut status.conditions {
            conditions.retain(|condition| condition.type_ != PROGRESSING);
        }
        return;
    }
    let reason = get(old, PROGRESSING).and_then(|condition| condition.reason.clone()).unwrap_or_default();
    let paused = deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
    if paused && reason != TIMED_OUT {
        set(status, PROGRESSING, "Unknown", PAUSED, "Deployment is paused".to_owned(), now, false);
        return;
    }
    if !paused && reason == PAUSED {
        set(status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned(), now, false);
        return;
    }
    let new_name = sets.new_set().map(|set| meta::name(&set.now).to_owned());
    if let (Some(Created::New), Some(name)) = (created, &new_name) {
        let message = format!("Created new replica set {name:?}");
        set(status, PROGRESSING, "True", "NewReplicaSetCreated", message, now, false);
        return;
    }
    let subject = new_name
        .as_ref()
        .map_or_else(|| format!("Deployment {:?}", meta::name(deployment)), |name| format!("ReplicaSet {name:?}"));
    let settled = status.replicas.unwrap_or(0) == status.updated_replicas.unwrap_or(0) && reason == NEW_AVAILABLE;
    if settled {
        return;
    }
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set(status, PROGRESSING, "True", NEW_AVAILABLE, message, now, false);
    } else if is_progress(old, status) {
        set(status, PROGRESSING, "True", "ReplicaSetUpdated", format!("{subject} is progressing."), now, true);
    } else if is_timed_out(deployment, status, now) {
        let message = format!("{subject} has timed out progressing.");
        set(status, PROGRESSING, "False", TIMED_OUT, message, now, false);
    } else if let (true, Some(name)) = (reason.is_empty(), new_name) {
        let message = format!("Found new replica set {name:?}");
        set(status, PROGRESSING, "True", "FoundNewReplicaSet", message, now, false);
    }
}

fn is_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let reason = get(status, PROGRESSING).and_then(|condition| condition.reason.as_deref());
    reason == Some(TIMED_OUT) || deadline_left(deployment, status, now).is_some_and(|left| left.is_zero())
}

/// How long the rollout may still go without progress; absent when no clock runs.
pub(super) fn deadline_left(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let seconds = deadline_seconds(deployment)?;
    let progressing = get(status, PROGRESSING)?;
    if matches!(progressing.reason.as_deref(), Some(NEW_AVAILABLE | TIMED_OUT | PAUSED)) {
        return None;
    }
    let since = progressing.last_update_time.as_ref()?.0;
    let left = i64::from(seconds) - now.duration_since(since).as_secs();
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}
