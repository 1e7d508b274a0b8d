//! A pod's status, from what its containers are doing.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIP,
    PodCondition, PodIP, PodStatus, ResourceRequirements,
};
use keelson_types::{meta, pods};

use super::{Container, Ended, Kind, Lifecycle, State};
use crate::containers;

const RESIZE_PENDING: &str = "PodResizePending";
const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";
/// Conditions that are only there while they hold.
pub(super) const PASSING: [&str; 2] = [RESIZE_PENDING, RESIZE_IN_PROGRESS];

/// The status to report at `now`. Conditions keep the time of their last change.
pub(super) fn of(lifecycle: &Lifecycle, now: Timestamp) -> PodStatus {
    let pod = &lifecycle.pod;
    let phase = phase(lifecycle);
    let ended = matches!(phase, "Succeeded" | "Failed");
    let mut before_mains = lifecycle.containers.iter().filter(|container| container.kind != Kind::Main);
    let init_done = lifecycle.mains_have_ended() || before_mains.all(Container::lets_others_start);
    let serves = |container: &&Container| matches!(container.kind, Kind::Main | Kind::Sidecar);
    let ready = lifecycle.containers.iter().filter(serves).all(is_ready);
    let condition = |kind: &str, holds: bool, reason: &str, message: String| {
        let status = if holds { "True" } else { "False" };
        let before = pods::condition(pod, kind).filter(|before| before.status == status);
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            observed_generation: pod.metadata.generation,
            last_transition_time: before
                .and_then(|before| before.last_transition_time.clone())
                .or_else(|| Some(meta::whole_seconds(now))),
            reason: (!holds).then(|| reason.to_owned()),
            message: (!holds && !message.is_empty()).then_some(message),
            ..PodCondition::default()
        }
    };
    let unready = || {
        let names: Vec<&str> = lifecycle
            .containers
            .iter()
            .filter(|container| serves(container) && !is_ready(container))
            .map(|container| container.name.as_str())
            .collect();
        format!("containers with unready status: [{}]", names.join(" "))
    };
    let not_ready_reason = if phase == "Succeeded" { "PodCompleted" } else { "ContainersNotReady" };
    let images = containers::images(pod);
    let of_kinds = |kinds: &[Kind]| -> Option<Vec<ContainerStatus>> {
        let statuses: Vec<_> = lifecycle
            .containers
            .iter()
            .filter(|container| kinds.contains(&container.kind))
            .map(|container| container_status(lifecycle, container, &images))
            .collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    let mut conditions = vec![
        condition("PodReadyToStartContainers", !ended, "", String::new()),
        condition("Initialized", init_done, "ContainersNotInitialized", String::new()),
        condition("ContainersReady", ready && !ended, not_ready_reason, unready()),
        condition("Ready", ready && !ended, not_ready_reason, unready()),
    ];
    if let Some(pending) = &lifecycle.pending {
        let (reason, message) = (Some(pending.reason.to_owned()), Some(pending.message.clone()));
        conditions.push(PodCondition { reason, message, ..condition(RESIZE_PENDING, true, "", String::new()) });
    }
    if lifecycle.containers.iter().any(|container| container.resizing) {
        conditions.push(condition(RESIZE_IN_PROGRESS, true, "", String::new()));
    }
    PodStatus {
        phase: Some(phase.to_owned()),
        observed_generation: pod.metadata.generation,
        conditions: Some(conditions),
        host_ip: Some(lifecycle.host_ip.clone()),
        host_ips: Some(vec![HostIP { ip: lifecycle.host_ip.clone() }]),
        pod_ip: Some(lifecycle.pod_ip.clone()),
        pod_ips: Some(vec![PodIP { ip: lifecycle.pod_ip.clone() }]),
        start_time: Some(meta::whole_seconds(lifecycle.started_at)),
        init_container_statuses: of_kinds(&[Kind::Init, Kind::Sidecar]),
        container_statuses: of_kinds(&[Kind::Main]),
        ephemeral_container_statuses: of_kinds(&[Kind::Ephemeral]),
        ..PodStatus::default()
    }
}

fn is_ready(container: &Container) -> bool {
    matches!(container.state, State::Running { ready: true, .. })
}

fn phase(lifecycle: &Lifecycle) -> &str {
    if pods::is_terminal(&lifecycle.pod) {
        return pods::phase(&lifecycle.pod);
    }
    if let Some(outcome) = lifecycle.outcome()
        && !lifecycle.containers.iter().any(Container::runs)
    {
        return outcome;
    }
    // A pod has run as soon as one of its containers has, even if it waits to be started again.
    let has_run = lifecycle.mains().any(|container| {
        matches!(container.state, State::Running { .. } | State::Ended(_)) || container.last.is_some()
    });
    if has_run { "Running" } else { "Pending" }
}

fn container_status(lifecycle: &Lifecycle, container: &Container, images: &HashMap<&str, &str>) -> ContainerStatus {
    let id = format!("simulated://{}/{}/{}", meta::uid(&*lifecycle.pod), container.name, container.restarts);
    let image = images.get(container.name.as_str()).copied().unwrap_or_default().to_owned();
    let stated = |resources: &ResourceRequirements| *resources != ResourceRequirements::default();
    let state = match &container.state {
        State::Waiting { reason, message, .. } => waiting(reason, message),
        State::Starting => waiting("ContainerCreating", ""),
        State::Running { since, .. } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(meta::whole_seconds(*since)) }),
            ..ContainerState::default()
        },
        State::Ended(ended) => terminated(ended, &id),
    };
    let has_run = !matches!(container.state, State::Waiting { .. } | State::Starting) || container.last.is_some();
    ContainerStatus {
        name: container.name.clone(),
        allocated_resources: container.allocated.requests.clone(),
        resources: Some(&container.resources).filter(|resources| stated(resources)).cloned(),
        ready: is_ready(container) || (container.kind == Kind::Init && container.lets_others_start()),
        started: Some(matches!(container.state, State::Running { .. })),
        restart_count: container.restarts,
        image_id: if has_run { format!("simulated://{image}") } else { String::new() },
        container_id: has_run.then(|| id.clone()),
        image,
        state: Some(state),
        last_state: Some(container.last.as_ref().map_or_else(ContainerState::default, |ended| terminated(ended, &id))),
        ..ContainerStatus::default()
    }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let message = (!message.is_empty()).then(|| message.to_owned());
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

fn terminated(ended: &Ended, container_id: &str) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: ended.code,
            reason: Some(ended.reason.clone()),
            started_at: ended.started_at.map(meta::whole_seconds),
            finished_at: Some(meta::whole_seconds(ended.at)),
            container_id: Some(container_id.to_owned()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}
