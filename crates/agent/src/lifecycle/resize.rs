//! Other resources for a pod that runs: taken on when the node has room for them, and told when it has not.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container as Spec, Node, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
use keelson_types::pods;
use keelson_types::quantity::Quantity;

use super::{Kind, Lifecycle, State};
use crate::containers;
use crate::runtime::Action;

/// What may change while a pod runs.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Amounts by resource; what is not named is nothing.
pub type Amounts = BTreeMap<&'static str, Quantity>;

/// Why a pod goes on with what it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// "Deferred" when it would fit without other pods, "Infeasible" when it never can.
    pub reason: &'static str,
    pub message: String,
}

/// What a node has for pods.
#[must_use]
pub fn allocatable(node: &Node) -> Amounts {
    amounts(node.status.as_ref().and_then(|status| status.allocatable.as_ref()))
}

/// What the other pods on a pod's node have. What they ask for beyond that takes no room until they are granted it: one that
/// can never have it would else keep all others from theirs.
#[must_use]
pub fn taken_beside(running: &BTreeMap<String, Lifecycle>, uid: &str) -> Amounts {
    let mut sum = Amounts::new();
    let Some(node) = running.get(uid).map(|lifecycle| pods::node_name(lifecycle.pod())) else { return sum };
    for (_, other) in running.iter().filter(|(other, _)| *other != uid) {
        if pods::node_name(other.pod()) == node && !pods::is_terminal(other.pod()) {
            add(&mut sum, other.allocated());
        }
    }
    sum
}

/// What the containers of a pod that may run together request.
fn requested(pod: &Pod) -> Amounts {
    let mut sum = Amounts::new();
    let spec = pod.spec.iter();
    let specs =
        spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(sidecar)));
    for container in specs {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        add(&mut sum, amounts(requests));
    }
    sum
}

fn add(sum: &mut Amounts, more: Amounts) {
    for (resource, amount) in more {
        *sum.entry(resource).or_default() += amount;
    }
}

fn is_resizable(container: &super::Container) -> bool {
    matches!(container.kind, Kind::Main | Kind::Sidecar)
}

fn sidecar(container: &&Spec) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn amounts(from: Option<&BTreeMap<String, Wire>>) -> Amounts {
    let Some(from) = from else { return Amounts::new() };
    let amount = |resource: &str| from.get(resource).and_then(|amount| Quantity::try_from(amount).ok());
    RESOURCES.into_iter().filter_map(|resource| Some((resource, amount(resource)?))).collect()
}

impl Lifecycle {
    /// Whether the pod asks for other resources than its containers have.
    #[must_use]
    pub fn wants_resize(&self) -> bool {
        self.containers.iter().any(|container| self.resources_wanted(container).is_some())
    }

    /// What its containers were granted together.
    fn allocated(&self) -> Amounts {
        let mut sum = Amounts::new();
        for container in self.containers.iter().filter(|container| is_resizable(container)) {
            add(&mut sum, amounts(container.allocated.requests.as_ref()));
        }
        sum
    }

    /// The resources that a container asks for, when it was granted others.
    fn resources_wanted(&self, container: &super::Container) -> Option<ResourceRequirements> {
        if !is_resizable(container) {
            return None;
        }
        let spec = containers::named(&self.pod, &container.name)?;
        let wanted = spec.resources.clone().unwrap_or_default();
        (wanted != container.allocated).then_some(wanted)
    }

    /// Grants the containers what the pod asks for, if the node has it beside what `others` have. `None` when nothing has
    /// changed: the pod waits for what it waited for before.
    pub fn resize(&mut self, allocatable: &Amounts, others: &Amounts) -> Option<Vec<Action>> {
        let pending = self.pending_for(allocatable, others);
        if pending.is_some() {
            let same = self.pending == pending;
            self.pending = pending;
            return (!same).then(Vec::new);
        }
        self.pending = None;
        for index in 0..self.containers.len() {
            if let Some(wanted) = self.resources_wanted(&self.containers[index]) {
                self.containers[index].allocated = wanted;
            }
        }
        Some(self.take_on())
    }

    /// Has the containers take on what they were granted: those that run at once or, where their policy says so, by a restart.
    pub(super) fn take_on(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for index in 0..self.containers.len() {
            let container = &self.containers[index];
            if container.resources == container.allocated || container.resizing {
                continue;
            }
            let restarts = match container.state {
                State::Running { .. } => self.restarts_for(container),
                // What it has is known again when it runs.
                State::Starting => continue,
                State::Waiting { .. } | State::Ended(_) => false,
            };
            let id = self.id(container);
            let container = &mut self.containers[index];
            if restarts {
                container.resizing = true;
                actions.push(Action::Stop { container: id, grace_seconds: self.grace_seconds() });
            } else {
                container.resources = container.allocated.clone();
            }
        }
        actions
    }

    fn pending_for(&self, allocatable: &Amounts, others: &Amounts) -> Option<Pending> {
        let (mut requested, has) = (requested(&self.pod), self.allocated());
        // What does not grow needs no room.
        requested.retain(|resource, wanted| *wanted > has.get(resource).copied().unwrap_or_default());
        let amount = |amounts: &Amounts, resource| amounts.get(resource).copied().unwrap_or_default();
        for (&resource, &wanted) in &requested {
            let whole = amount(allocatable, resource);
            if wanted > whole {
                let message = format!("the node has {whole} of {resource} in all, {wanted} are requested");
                return Some(Pending { reason: "Infeasible", message });
            }
        }
        for (&resource, &wanted) in &requested {
            let mut used = amount(others, resource);
            used += wanted;
            if used > amount(allocatable, resource) {
                let message = format!("the node has less than {wanted} of {resource} left beside other pods");
                return Some(Pending { reason: "Deferred", message });
            }
        }
        None
    }

    /// Whether a container must be started anew to have what it was granted.
    fn restarts_for(&self, container: &super::Container) -> bool {
        let Some(spec) = containers::named(&self.pod, &container.name) else { return false };
        let changes = |resource: &str| {
            let of = |from: &Option<BTreeMap<String, Wire>>| from.as_ref().and_then(|from| from.get(resource)).cloned();
            let (before, after) = (&container.resources, &container.allocated);
            of(&before.limits) != of(&after.limits) || of(&before.requests) != of(&after.requests)
        };
        let mut policies = spec.resize_policy.iter().flatten();
        policies.any(|policy| policy.restart_policy == "RestartContainer" && changes(&policy.resource_name))
    }
}
