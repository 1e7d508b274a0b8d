//! What a pod's containers are doing, what to do next, and what to report. Pure: time and observations come in, actions and a
//! status come out.
//!
//! A container goes `Waiting → Starting → Running → Ended` and, if its pod restarts it, back to `Waiting` after a pause that
//! doubles with each failure. Init containers run one after the other before the others start; those with restart policy
//! Always (sidecars) only have to have started. When the main containers have ended for good, whatever else runs is stopped, and
//! then the pod has ended: nothing of a pod runs that is told to be over. A pod that is being deleted stops its containers and
//! is `gone` when all of them have ended.

mod ending;
mod resize;
mod status;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus, ResourceRequirements};
use keelson_types::{meta, pods};
use serde_json::{Value, json};

use crate::containers;
use crate::runtime::{Action, ContainerId, Happened, Observation};

use resize::Pending;

/// A container that ran so long without ending begins again with the first pause.
const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(600);
/// What Kubernetes gives containers to end when the pod does not say.
const GRACE_SECONDS: i64 = 30;

/// How long to wait before a container is started again.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub initial: Duration,
    pub max: Duration,
}

/// One pod on its node.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    pod: Arc<Pod>,
    pub(crate) containers: Vec<Container>,
    backoff: Backoff,
    started_at: Timestamp,
    pod_ip: String,
    host_ip: String,
    stopping: bool,
    /// The main containers have ended, and the others were told to.
    ending: bool,
    /// Why the pod does not have the resources that it asks for.
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub name: String,
    pub kind: Kind,
    pub state: State,
    pub restarts: i32,
    /// Failures in a row, that the pause grows with.
    pub failures: u32,
    /// How the run before ended.
    pub last: Option<Ended>,
    /// What it was granted, and is started with.
    pub allocated: ResourceRequirements,
    /// What it runs with. Differs from `allocated` until a restart that this needs has happened.
    pub resources: ResourceRequirements,
    /// It ends to be started again with other resources, and does not run yet.
    pub resizing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Init,
    Sidecar,
    Main,
    /// Added to look into the pod: nobody waits for it, and it runs once.
    Ephemeral,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { reason: String, message: String, not_before: Option<Timestamp> },
    Starting,
    Running { since: Timestamp, ready: bool },
    Ended(Ended),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub code: i32,
    pub reason: String,
    pub started_at: Option<Timestamp>,
    pub at: Timestamp,
}

/// Something that happened worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Lifecycle {
    /// A pod that was bound to the node, or that a former agent of the node left behind: what its status says is running is
    /// taken to run on.
    #[must_use]
    pub fn new(pod: Arc<Pod>, pod_ip: String, host_ip: String, backoff: Backoff, now: Timestamp) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        let known = lists.into_iter().flatten().flatten().map(|status| (status.name.as_str(), status));
        let known: HashMap<&str, &ContainerStatus> = known.collect();
        let spec = pod.spec.as_ref();
        let init = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(|spec| {
            let sidecar = spec.restart_policy.as_deref() == Some("Always");
            (&spec.name, if sidecar { Kind::Sidecar } else { Kind::Init }, spec.resources.as_ref())
        });
        let main = spec.into_iter().flat_map(|spec| &spec.containers);
        let main = main.map(|spec| (&spec.name, Kind::Main, spec.resources.as_ref()));
        // First, since they may be there to look at what keeps the others from starting.
        let ephemeral = containers::ephemeral(&pod).map(|spec| (&spec.name, Kind::Ephemeral, None));
        let containers = ephemeral.chain(init).chain(main);
        let containers = containers.map(|(name, kind, resources)| {
            Container::new(
                name,
                kind,
                resources.cloned().unwrap_or_default(),
                known.get(name.as_str()).copied().cloned(),
            )
        });
        let containers = containers.collect();
        let started_at = status.start_time.map_or(now, |time| time.0);
        let pod_ip = status.pod_ip.unwrap_or(pod_ip);
        Self { pod, containers, backoff, started_at, pod_ip, host_ip, stopping: false, ending: false, pending: None }
    }

    /// The pod as the API last told it.
    #[must_use]
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// The API told a new state of the same pod. Whether the status must be written for that alone: it says for which
    /// generation it holds, and why a resize waits.
    #[must_use]
    pub fn update(&mut self, pod: Arc<Pod>) -> bool {
        let known: HashSet<&str> = self.containers.iter().map(|container| container.name.as_str()).collect();
        let added = containers::ephemeral(&pod).filter(|spec| !known.contains(spec.name.as_str()));
        let added =
            added.map(|spec| Container::new(&spec.name, Kind::Ephemeral, ResourceRequirements::default(), None));
        let added: Vec<Container> = added.collect();
        self.containers.splice(0..0, added);
        let newer = self.pod.metadata.generation != pod.metadata.generation;
        self.pod = pod;
        let taken_back = !self.wants_resize() && self.pending.take().is_some();
        newer || taken_back
    }

    /// Actions that make a fresh runtime go on with what runs already.
    #[must_use]
    pub fn adopt(&self) -> Vec<Action> {
        let running = self.containers.iter().filter_map(|container| match container.state {
            State::Running { since, .. } => Some((container, since)),
            _ => None,
        });
        running
            .map(|(container, started_at)| Action::Adopt {
                container: self.id(container),
                pod: self.pod.clone(),
                started_at,
            })
            .collect()
    }

    /// Takes over what happened to one of its containers.
    pub fn observe(&mut self, observation: &Observation) -> Option<Note> {
        let (policy, backoff, at) = (self.restart_policy().to_owned(), self.backoff, observation.at);
        let stopping = self.stopping || self.is_over();
        let container = self.containers.iter_mut().find(|container| container.name == observation.container.name)?;
        let name = &container.name;
        match &observation.what {
            Happened::Started => {
                container.state = State::Running { since: at, ready: false };
                container.resizing = false;
                Some(Note { warning: false, reason: "Started", message: format!("Started container {name}") })
            }
            Happened::Ready => {
                if let State::Running { ready, .. } = &mut container.state {
                    *ready = true;
                }
                None
            }
            Happened::NotStarted { reason, message } => {
                let waiting = match reason.as_str() {
                    // From the second failure on it is the pause that is told, as in Kubernetes.
                    "ErrImagePull" if container.failures > 0 => "ImagePullBackOff",
                    other => other,
                };
                let note = Note { warning: true, reason: "Failed", message: format!("{reason}: {message}") };
                container.failures = container.failures.saturating_add(1);
                container.state = State::Waiting {
                    reason: waiting.to_owned(),
                    message: message.clone(),
                    not_before: Some(backoff.after(container.failures, at)),
                };
                Some(note)
            }
            Happened::Exited { code, reason } => {
                let since = match container.state {
                    State::Running { since, .. } => Some(since),
                    _ => None,
                };
                let ended = Ended { code: *code, reason: reason.clone(), started_at: since, at };
                if container.resizing && !stopping {
                    container.last = Some(ended);
                    container.restarts += 1;
                    container.state = Container::first_state(container.kind);
                    return None;
                }
                let long = since.is_some_and(|since| at.duration_since(since).unsigned_abs() >= BACKOFF_RESET_AFTER);
                container.failures = if long { 1 } else { container.failures.saturating_add(1) };
                if stopping || !restarts(container.kind, &policy, *code) {
                    container.state = State::Ended(ended);
                    return None;
                }
                let note = format!("Back-off restarting failed container {name}");
                container.last = Some(ended);
                container.restarts += 1;
                container.state = State::Waiting {
                    reason: "CrashLoopBackOff".to_owned(),
                    message: format!("back-off restarting container {name}"),
                    not_before: Some(backoff.after(container.failures, at)),
                };
                Some(Note { warning: true, reason: "BackOff", message: note })
            }
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Timestamp) -> Vec<Action> {
        if self.pod.metadata.deletion_timestamp.is_some() {
            return self.stop();
        }
        if self.is_over() {
            return self.end();
        }
        // An agent before this one may have granted what needs a restart, and ended.
        let mut actions = self.take_on();
        for index in 0..self.containers.len() {
            let container = &self.containers[index];
            let due = match &container.state {
                State::Waiting { not_before, .. } => not_before.is_none_or(|not_before| not_before <= now),
                _ => false,
            };
            if due {
                // The shell resolves the environment before it hands this on.
                let container = self.id(container);
                actions.push(Action::Start { container, pod: self.pod.clone(), environment: Vec::new() });
                let container = &mut self.containers[index];
                container.state = State::Starting;
                container.resources = container.allocated.clone();
            }
            // What comes after waits until this one is done, if it is one that others wait for.
            if !self.containers[index].lets_others_start() {
                break;
            }
        }
        actions
    }

    /// When [`Lifecycle::step`] has something to do without anything happening before.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        if self.stopping || self.is_over() {
            return None;
        }
        let pauses = self.containers.iter().filter_map(|container| match &container.state {
            State::Waiting { not_before, .. } => *not_before,
            _ => None,
        });
        pauses.min()
    }

    /// What to report.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> PodStatus {
        status::of(self, now)
    }

    /// The status as a strategic merge patch. Conditions are merged by their type, so what one no longer has must be said.
    #[must_use]
    pub fn status_patch(&self, now: Timestamp) -> Value {
        let mut patch = json!({ "metadata": { "uid": self.pod.metadata.uid }, "status": self.status(now) });
        let conditions = patch["status"]["conditions"].as_array_mut();
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            for field in ["reason", "message"] {
                condition.entry(field).or_insert(Value::Null);
            }
        }
        if let Some(conditions) = patch["status"]["conditions"].as_array_mut() {
            for kind in status::PASSING {
                let holds = conditions.iter().any(|condition| condition["type"] == kind);
                if !holds && pods::condition(&self.pod, kind).is_some() {
                    conditions.push(json!({ "type": kind, "$patch": "delete" }));
                }
            }
        }
        patch
    }

    fn restart_policy(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    fn id(&self, container: &Container) -> ContainerId {
        ContainerId { pod_uid: meta::uid(&*self.pod).to_owned(), name: container.name.clone() }
    }
}

impl Container {
    fn first_state(kind: Kind) -> State {
        let reason = if matches!(kind, Kind::Main | Kind::Ephemeral) { "ContainerCreating" } else { "PodInitializing" };
        State::Waiting { reason: reason.to_owned(), message: String::new(), not_before: None }
    }

    /// Whether it runs, or is about to.
    fn runs(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Starting)
    }

    fn new(name: &str, kind: Kind, wanted: ResourceRequirements, known: Option<ContainerStatus>) -> Self {
        let new = Self {
            name: name.to_owned(),
            kind,
            state: Self::first_state(kind),
            restarts: 0,
            failures: 0,
            last: None,
            allocated: wanted.clone(),
            resources: wanted,
            resizing: false,
        };
        let Some(known) = known else { return new };
        let ended = |state: Option<k8s_openapi::api::core::v1::ContainerState>| {
            let ended = state?.terminated?;
            Some(Ended {
                code: ended.exit_code,
                reason: ended.reason.unwrap_or_default(),
                started_at: ended.started_at.map(|time| time.0),
                at: ended.finished_at.map(|time| time.0)?,
            })
        };
        let running = known.state.as_ref().and_then(|state| state.running.as_ref());
        let state = match (running, ended(known.state.clone())) {
            (Some(running), _) => {
                let since = running.started_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
                State::Running { since, ready: known.ready }
            }
            (None, Some(ended)) => State::Ended(ended),
            (None, None) => new.state,
        };
        let resources = known.resources.unwrap_or_else(|| new.resources.clone());
        // What it was told to have while no agent was there is given to it as any other change. A status has no granted
        // limits: they came with the requests.
        let allocated = match known.allocated_resources {
            None => resources.clone(),
            requests if requests == new.allocated.requests => new.allocated,
            requests => ResourceRequirements { requests, ..resources.clone() },
        };
        let (restarts, last) = (known.restart_count, ended(known.last_state));
        Self { name: new.name, kind, state, restarts, failures: 0, last, allocated, resources, resizing: false }
    }

    fn lets_others_start(&self) -> bool {
        match self.kind {
            Kind::Main | Kind::Ephemeral => true,
            Kind::Sidecar => matches!(self.state, State::Running { .. }),
            Kind::Init => matches!(&self.state, State::Ended(ended) if ended.code == 0),
        }
    }
}

fn restarts(kind: Kind, policy: &str, code: i32) -> bool {
    match kind {
        Kind::Sidecar => true,
        Kind::Ephemeral => false,
        Kind::Init => code != 0 && policy != "Never",
        Kind::Main => policy == "Always" || (policy == "OnFailure" && code != 0),
    }
}

impl Backoff {
    fn after(self, failures: u32, at: Timestamp) -> Timestamp {
        let pause = self.initial.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.max);
        at.saturating_add(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests;
