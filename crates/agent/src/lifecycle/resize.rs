//! Other resources for a pod that runs: taken on when the node has room for them, and told when it has not.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
use keelson_types::quantity::Quantity;
use keelson_types::{Resources, pods};

use super::{Kind, Lifecycle, State};
use crate::containers;
use crate::runtime::Action;

/// Why a pod goes on with what it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// "Deferred" when it would fit without other pods, "Infeasible" when it never can.
    pub reason: &'static str,
    pub message: String,
}

fn is_resizable(container: &super::Container) -> bool {
    matches!(container.kind, Kind::Main | Kind::Sidecar)
}

/// An amount as users write it.
fn shown(amounts: &Resources, resource: &str) -> String {
    let bounded = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
    match resource {
        "cpu" => Quantity::from_millis(bounded(amounts.millicpu)).to_string(),
        "memory" => Quantity::from_bytes(bounded(amounts.memory)).to_string(),
        "ephemeral-storage" => Quantity::from_bytes(bounded(amounts.ephemeral_storage)).to_string(),
        other => amounts.others.get(other).copied().unwrap_or_default().to_string(),
    }
}

impl Lifecycle {
    /// Whether the pod asks for other resources than its containers have.
    #[must_use]
    pub fn wants_resize(&self) -> bool {
        !self.resources_wanted().is_empty()
    }

    /// What the pod takes of its node: by what its containers were granted. One that has ended takes nothing.
    #[must_use]
    pub fn taken(&self) -> Resources {
        let Some(spec) = self.pod.spec.as_ref().filter(|_| !pods::is_terminal(&self.pod)) else {
            return Resources::default();
        };
        let granted = self.containers.iter().map(|container| (container.name.as_str(), &container.allocated));
        let granted: BTreeMap<&str, &ResourceRequirements> = granted.collect();
        Resources::taken_by(spec, |container| granted.get(container.name.as_str())?.requests.as_ref())
    }

    /// What it would take if it were granted what it asks for.
    fn wanted(&self) -> Resources {
        let Some(spec) = &self.pod.spec else { return Resources::default() };
        Resources::taken_by(spec, |container| container.resources.as_ref()?.requests.as_ref())
    }

    /// The resources that containers ask for which were granted others, with the containers' places.
    fn resources_wanted(&self) -> Vec<(usize, ResourceRequirements)> {
        let specs = containers::lasting(&self.pod);
        let resizable = self.containers.iter().enumerate().filter(|(_, container)| is_resizable(container));
        resizable
            .filter_map(|(index, container)| {
                let wanted = specs.get(container.name.as_str())?.resources.as_ref();
                let same = wanted.map_or_else(
                    || container.allocated == ResourceRequirements::default(),
                    |wanted| *wanted == container.allocated,
                );
                (!same).then(|| (index, wanted.cloned().unwrap_or_default()))
            })
            .collect()
    }

    /// Grants the containers what the pod asks for, if the node has it beside what `others` have. `None` when nothing has
    /// changed: the pod waits for what it waited for before.
    pub fn resize(&mut self, allocatable: &Resources, others: &Resources) -> Option<Vec<Action>> {
        let pending = self.pending_for(allocatable, others);
        if pending.is_some() {
            let same = self.pending == pending;
            self.pending = pending;
            return (!same).then(Vec::new);
        }
        self.pending = None;
        for (index, wanted) in self.resources_wanted() {
            self.containers[index].allocated = wanted;
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

    fn pending_for(&self, allocatable: &Resources, others: &Resources) -> Option<Pending> {
        let wanted = self.wanted();
        // What does not grow needs no room.
        let growing = wanted.clone().beyond(&self.taken());
        if let Some(resource) = growing.lacking(allocatable, &Resources::default()).first() {
            let (whole, wanted) = (shown(allocatable, resource), shown(&wanted, resource));
            let message = format!("the node has {whole} of {resource} in all, {wanted} are requested");
            return Some(Pending { reason: "Infeasible", message });
        }
        let lacking = growing.lacking(allocatable, others);
        let resource = lacking.first()?;
        let wanted = shown(&wanted, resource);
        let message = format!("the node has less than {wanted} of {resource} left beside other pods");
        Some(Pending { reason: "Deferred", message })
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
