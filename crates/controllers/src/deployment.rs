//! A Deployment keeps one ReplicaSet per pod template, and moves pods from the old ones to the new one as its strategy says.
//!
//! Each round makes one step from what it sees, and writes it whole: ReplicaSets and the Deployment's own status or
//! annotations together. The next round starts from what that led to. Sizes are chosen so that no order in which the
//! ReplicaSet controller catches up takes the pods below `replicas - maxUnavailable` available or above
//! `replicas + maxSurge` in total.

pub mod condition;
pub mod revision;
pub mod rollout;
pub mod scale;
mod sets;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use keelson_client::Error;
use keelson_types::int_or_string::fenceposts;
use keelson_types::meta::{self, Key};
use keelson_types::pods;
use keelson_types::selector::LabelSelector;

use crate::caches::{Caches, NAMESPACE, OWNER};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, Write};
pub use sets::Sets;

/// What is known about one Deployment.
pub struct Snapshot {
    pub deployment: Option<Arc<Deployment>>,
    /// The ReplicaSets of its namespace: its own, orphans, and others, whose names are taken.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The pods of its own ReplicaSets; needed by the Recreate strategy only, and may be left empty for others.
    pub pods: Vec<Arc<Pod>>,
}

/// The numbers that a rollout works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub replicas: i32,
    pub max_surge: i32,
    pub max_unavailable: i32,
    pub recreate: bool,
}

impl Bounds {
    pub fn of(spec: &DeploymentSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(1).max(0);
        let recreate = spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate");
        if recreate {
            return Self { replicas, max_surge: 0, max_unavailable: 0, recreate };
        }
        let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let (max_surge, max_unavailable) = fenceposts(
            rolling.and_then(|rolling| rolling.max_surge.as_ref()),
            rolling.and_then(|rolling| rolling.max_unavailable.as_ref()),
            replicas,
        );
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas), recreate }
    }

    /// The fewest available pods that a rollout may leave.
    pub fn available_min(self) -> i32 {
        self.replicas - self.max_unavailable
    }

    /// The most pods that a rollout may have.
    pub fn total_max(self) -> i32 {
        self.replicas.saturating_add(self.max_surge)
    }
}

/// Plans the next step of the Deployment `key`.
pub fn plan(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let Some(deployment) = snapshot.deployment.as_deref() else { return Plan::nothing(format!("{key} is gone")) };
    let Some(spec) = &deployment.spec else { return Plan::nothing("the Deployment has no spec") };
    let selector = match LabelSelector::from_object(Some(&spec.selector)) {
        Ok(selector) if !selector.is_everything() => selector,
        _ => {
            let mut plan = Plan::nothing("the selector selects all pods or is invalid");
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            plan.notes.push(Note::warning(deployment, "SelectingAll", message.to_owned()));
            return plan;
        }
    };
    let mut plan = Plan::default();
    let mut sets = Sets::claim(deployment, &snapshot.replica_sets, &selector);
    if meta::is_deleting(deployment) {
        plan.because("the Deployment is being deleted");
        return finish(plan, deployment, sets, None, now);
    }
    let bounds = Bounds::of(spec);
    let paused = spec.paused == Some(true);
    let created = if paused || scale::is_due(&sets, bounds) {
        sets.annotate(deployment, false);
        scale::plan(&mut sets, bounds, deployment);
        plan.because(if paused { "the Deployment is paused" } else { "the number of replicas changed" });
        None
    } else if bounds.recreate {
        rollout::recreate(&mut sets, bounds, deployment, &snapshot.pods)
    } else {
        rollout::rolling(&mut sets, bounds, deployment)
    };
    finish(plan, deployment, sets, created, now)
}

/// Turns what was decided about the sets into writes, and adds status and clean-up.
fn finish(
    mut plan: Plan,
    deployment: &Deployment,
    mut sets: Sets,
    created: Option<rollout::Created>,
    now: Timestamp,
) -> Plan {
    if created == Some(rollout::Created::Collision) {
        plan.because("the name of the new ReplicaSet is taken");
    }
    let status = status::observe(deployment, &sets, created, now);
    let complete = status::is_complete(deployment, &status);
    let settled = !sets.is_changed();
    if settled && (complete || deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true))) {
        sets.clean_up(deployment);
    }
    sets.write(deployment, &mut plan);
    let annotated = sets.new_revision().and_then(|revision| revision::on_deployment(deployment, revision));
    if Some(&status) != deployment.status.as_ref() {
        let mut updated = deployment.clone();
        updated.status = Some(status.clone());
        plan.writes.push(Write::UpdateStatus(updated.into()));
        plan.because("the status changed");
    } else if let Some(updated) = annotated {
        // Never in one batch with the status: both are guarded by the same resourceVersion.
        plan.writes.push(Write::Update(updated.into()));
        plan.because("the revision changed");
    }
    if plan.writes.is_empty() && plan.reasons.is_empty() {
        plan.because(if complete { "the rollout is complete" } else { "waiting for pods" });
    }
    if !complete && let Some(left) = condition::deadline_left(deployment, &status, now) {
        plan.requeue(left + Duration::from_secs(1));
    }
    plan
}

pub(crate) struct Loop {
    caches: Caches,
}

impl Loop {
    pub fn new(caches: Caches) -> Self {
        Self { caches }
    }

    fn observe(&self, key: &Key) -> Snapshot {
        let deployment = self.caches.deployments.get_key(key);
        let replica_sets = self.caches.replica_sets.by_index(NAMESPACE, &key.namespace);
        let recreate = deployment
            .as_deref()
            .and_then(|deployment| deployment.spec.as_ref())
            .is_some_and(|spec| Bounds::of(spec).recreate);
        let mut pods = Vec::new();
        if let Some(deployment) = deployment.as_deref().filter(|_| recreate) {
            for set in replica_sets.iter().filter(|set| meta::is_controlled_by(&set.metadata, deployment)) {
                pods.extend(self.caches.pods.by_index(OWNER, meta::uid(set.as_ref())));
            }
        }
        Snapshot { deployment, replica_sets, pods }
    }
}

impl Controller for Loop {
    type Key = Key;
    const NAME: &'static str = "deployment";

    fn signals(self: &Arc<Self>, signals: &mut Signals<Key>) {
        signals.on(&self.caches.deployments, |change| vec![change.key.clone()]);
        let caches = self.caches.clone();
        signals.on(&self.caches.replica_sets, move |change| {
            let mut keys = Vec::new();
            for set in [change.old.as_deref(), change.new.as_deref()].into_iter().flatten() {
                match meta::controller_of(&set.metadata) {
                    Some(owner) if owner.kind == "Deployment" => {
                        keys.push(Key::new(meta::namespace(set), owner.name.clone()));
                    }
                    Some(_) => {}
                    None => {
                        let deployments = caches.deployments.by_index(NAMESPACE, meta::namespace(set));
                        keys.extend(deployments.iter().map(|deployment| Key::of(deployment.as_ref())));
                    }
                }
            }
            keys.dedup();
            keys
        });
        // A Recreate rollout waits for the last old pod to go; ReplicaSets do not count what is being deleted.
        let caches = self.caches.clone();
        signals.on(&self.caches.pods, move |change| {
            let ended = match (&change.old, &change.new) {
                (Some(old), None) => Some(old),
                (_, Some(new)) if pods::is_terminal(new) => Some(new),
                _ => None,
            };
            let owner = ended.and_then(|pod| {
                let owner = meta::controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
                let set = caches.replica_sets.get(meta::namespace(pod.as_ref()), &owner.name)?;
                let owner = meta::controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
                Some(Key::new(meta::namespace(set.as_ref()), owner.name.clone()))
            });
            owner.into_iter().collect()
        });
    }

    fn keys(&self) -> Vec<Key> {
        self.caches.deployments.keys()
    }

    async fn reconcile(&self, key: &Key) -> Result<Plan, Error> {
        Ok(plan(&self.observe(key), key, Timestamp::now()))
    }
}

#[cfg(test)]
mod tests;
