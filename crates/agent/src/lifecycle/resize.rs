//! Other resources for a pod that runs: taken on when the node has room for them, and told when it has not.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container as Spec, Node, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
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

/// What the containers of a pod that may run together request.
#[must_use]
pub fn requested(pod: &Pod) -> Amounts {
    let mut sum = Amounts::new();
    let spec = pod.spec.iter();
    let specs =
        spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(sidecar)));
    for container in specs {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        for (resource, amount) in amounts(requests) {
            *sum.entry(resource).or_default() += amount;
        }
    }
    sum
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

    /// The resources that a container is to have, when it has others.
    fn resources_wanted(&self, container: &super::Container) -> Option<ResourceRequirements> {
        if !matches!(container.kind, Kind::Main | Kind::Sidecar) {
            return None;
        }
        let spec = containers::named(&self.pod, &container.name)?;
        let wanted = spec.resources.clone().unwrap_or_default();
        (wanted != container.resources).then_some(wanted)
    }

    /// Gives the containers what the pod asks for, if the node has it beside what `others` request. `None` when nothing has
    /// changed: the pod waits for what it waited for before.
    pub fn resize(&mut self, allocatable: &Amounts, others: &Amounts) -> Option<Vec<Action>> {
        let pending = self.pending_for(allocatable, others);
        if pending.is_some() {
            let same = self.pending == pending;
            self.pending = pending;
            return (!same).then(Vec::new);
        }
        self.pending = None;
        let mut actions = Vec::new();
        for index in 0..self.containers.len() {
            let Some(wanted) = self.resources_wanted(&self.containers[index]) else { continue };
            let restarts = self.restarts_for(index, &wanted);
            let id = self.id(&self.containers[index]);
            let container = &mut self.containers[index];
            container.resources = wanted;
            if restarts && matches!(container.state, State::Running { .. }) && !container.resizing {
                container.resizing = true;
                actions.push(Action::Stop { container: id, grace_seconds: self.grace_seconds() });
            }
        }
        Some(actions)
    }

    fn pending_for(&self, allocatable: &Amounts, others: &Amounts) -> Option<Pending> {
        let requested = requested(&self.pod);
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

    /// Whether a container must be started anew to have these resources.
    fn restarts_for(&self, index: usize, wanted: &ResourceRequirements) -> bool {
        let container = &self.containers[index];
        let Some(spec) = containers::named(&self.pod, &container.name) else { return false };
        let changes = |resource: &str| {
            let of = |from: &Option<BTreeMap<String, Wire>>| from.as_ref().and_then(|from| from.get(resource)).cloned();
            let before = &container.resources;
            of(&before.limits) != of(&wanted.limits) || of(&before.requests) != of(&wanted.requests)
        };
        let mut policies = spec.resize_policy.iter().flatten();
        policies.any(|policy| policy.restart_policy == "RestartContainer" && changes(&policy.resource_name))
    }
}
