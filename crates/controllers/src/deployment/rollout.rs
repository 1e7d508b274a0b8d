//! One step of a rollout: make the new set, grow it, shrink the old ones.
//!
//! Source: Kubernetes' deployment controller, `rolloutRolling` and `rolloutRecreate`.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_types::meta;
use keelson_types::pods;

use super::revision::{self, TEMPLATE_HASH};
use super::scale::mark;
use super::{Bounds, Sets};

/// What came of the need for a new set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is in the plan.
    New,
    /// Its name is taken by something else: try again with another hash.
    Collision,
}

/// A step of the RollingUpdate strategy.
pub fn rolling(sets: &mut Sets, bounds: Bounds, deployment: &Deployment) -> Option<Created> {
    let created = ensure_new(sets, deployment);
    if created == Some(Created::Collision) {
        return created;
    }
    sets.annotate(deployment, true);
    if !grow_new(sets, bounds) && sets.are_observed() {
        shrink_old(sets, bounds);
    }
    created
}

/// A step of the Recreate strategy: everything old ends before anything new starts.
pub fn recreate(sets: &mut Sets, bounds: Bounds, deployment: &Deployment, all_pods: &[Arc<Pod>]) -> Option<Created> {
    let mut scaled_down = false;
    for old in sets.old_mut().filter(|set| set.size() > 0) {
        old.set_size(0);
        scaled_down = true;
    }
    if scaled_down {
        sets.annotate(deployment, false);
        return None;
    }
    let new_uid = sets.new_set().map(|set| meta::uid(&set.now).to_owned());
    let old_runs = all_pods.iter().any(|pod| {
        let owner = meta::controller_of(&pod.metadata).map(|owner| &owner.uid);
        !pods::is_terminal(pod) && (new_uid.is_none() || owner != new_uid.as_ref())
    });
    if old_runs {
        sets.annotate(deployment, false);
        return None;
    }
    let created = ensure_new(sets, deployment);
    if created == Some(Created::Collision) {
        return created;
    }
    if let Some(new) = sets.new_set_mut()
        && new.size() != bounds.replicas
    {
        new.set_size(bounds.replicas);
        mark(new, bounds);
    }
    sets.annotate(deployment, true);
    created
}

/// Adds the new set, of size 0, unless it is there.
fn ensure_new(sets: &mut Sets, deployment: &Deployment) -> Option<Created> {
    if sets.new.is_some() {
        return None;
    }
    let spec = deployment.spec.as_ref()?;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = revision::template_hash(&spec.template, collisions);
    let name = format!("{}-{hash}", meta::name(deployment));
    if sets.is_taken(&name) {
        return Some(Created::Collision);
    }
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.to_owned(), hash);
    sets.push_new(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![meta::controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    });
    Some(Created::New)
}

/// Grows (or, when it is too large, shrinks) the new set as far as the surge allows. Whether that changed anything.
fn grow_new(sets: &mut Sets, bounds: Bounds) -> bool {
    let total = sets.total();
    let Some(new) = sets.new_set_mut() else { return false };
    let size = if new.size() >= bounds.replicas {
        bounds.replicas
    } else {
        let room = (bounds.total_max() - total).max(0);
        new.size() + room.min(bounds.replicas - new.size())
    };
    if size == new.size() {
        return false;
    }
    new.set_size(size);
    mark(new, bounds);
    true
}

/// Shrinks the old sets as far as availability allows: what is not available first, then the oldest.
fn shrink_old(sets: &mut Sets, bounds: Bounds) {
    let old_total: i32 = sets.old().map(super::sets::Set::size).sum();
    if old_total == 0 {
        return;
    }
    let new_unavailable = sets.new_set().map_or(0, |new| new.size() - new.available());
    let removable = sets.total() - bounds.available_min() - new_unavailable;
    if removable <= 0 {
        return;
    }
    let mut removed = 0;
    for old in sets.old_mut().filter(|set| set.size() > 0) {
        let unavailable = (old.size() - old.available()).min(removable - removed);
        if unavailable > 0 {
            old.set_size(old.size() - unavailable);
            mark(old, bounds);
            removed += unavailable;
        }
    }
    let mut spare = (sets.available() - bounds.available_min()).min(removable - removed);
    for old in sets.old_mut().filter(|set| set.size() > 0) {
        if spare <= 0 {
            break;
        }
        let less = old.size().min(spare);
        old.set_size(old.size() - less);
        mark(old, bounds);
        spare -= less;
    }
}
