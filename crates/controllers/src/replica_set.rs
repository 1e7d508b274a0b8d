//! A ReplicaSet has as many pods as its spec asks for.
//!
//! Pods that end or are being deleted do not count. Surplus pods go in the order of [`rank`]; orphans that match the
//! selector are adopted, owned pods that no longer match are released. The names of new pods are a function of the owner
//! and of the pods it is seen to have, which is what makes an outdated view harmless (see the crate's invariant).

pub mod rank;
pub mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::Error;
use keelson_types::meta::{self, Key};
use keelson_types::pods;
use keelson_types::selector::LabelSelector;

use crate::caches::{Caches, ORPHAN, OWNER};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, Write};
use crate::suffix;

/// How many pods are created or deleted in one go; Kubernetes' number.
const BURST_MAX: usize = 500;
/// How many bytes of pod templates go into one batch: half of what the API takes.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// What is known about one ReplicaSet.
pub struct Snapshot {
    pub replica_set: Option<Arc<ReplicaSet>>,
    /// The pods it owns, matching or not, and the orphans of its namespace.
    pub pods: Vec<Arc<Pod>>,
    /// How many active pods of the same controller's siblings each node has, by node name.
    pub related_on_node: HashMap<String, usize>,
    /// Whether a pod of this name exists in the namespace.
    pub is_taken: Box<dyn Fn(&str) -> bool + Send>,
}

/// Plans the pods and the status of the ReplicaSet `key`.
pub fn plan(snapshot: &Snapshot, key: &Key, now: Timestamp) -> Plan {
    let Some(set) = snapshot.replica_set.as_deref() else { return Plan::nothing(format!("{key} is gone")) };
    let spec = set.spec.clone().unwrap_or_default();
    let Ok(selector) = LabelSelector::from_object(Some(&spec.selector)) else {
        return Plan::nothing("the selector is invalid");
    };
    let mut plan = Plan::default();
    let owned = claim(snapshot, set, &selector, &mut plan);
    let active: Vec<&Arc<Pod>> = owned.iter().copied().filter(|pod| pods::is_active(pod)).collect();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    if meta::is_deleting(set) {
        plan.because("the ReplicaSet is being deleted");
    } else if !plan.writes.is_empty() {
        // One batch never writes a pod twice, and what was claimed counts from the next round on.
        plan.because("claims come first");
    } else if active.len() < wanted {
        create(snapshot, set, &owned, wanted - active.len(), &mut plan);
        plan.because(format!("{} of {wanted} pods", active.len()));
    } else if active.len() > wanted {
        let surplus = (active.len() - wanted).min(BURST_MAX);
        for pod in rank::surplus(&active, &snapshot.related_on_node, surplus, now) {
            plan.writes.push(Write::delete(pod.as_ref(), None));
            plan.notes.push(Note::normal(
                set,
                "SuccessfulDelete",
                format!("Deleted pod: {}", meta::name(pod.as_ref())),
            ));
        }
        plan.because(format!("{} pods, {wanted} wanted", active.len()));
    } else {
        plan.because(format!("all {wanted} pods are there"));
    }
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
    let status = status::observe(set, &active, min_ready_seconds, now);
    if set.status.as_ref() != Some(&status) {
        let mut updated = set.clone();
        updated.status = Some(status.clone());
        plan.writes.push(Write::UpdateStatus(updated.into()));
        plan.because("the status changed");
    }
    if min_ready_seconds > 0 && status.ready_replicas > status.available_replicas {
        plan.requeue(status::next_available(&active, min_ready_seconds, now));
    }
    plan
}

/// The pods that belong to `set`, after adoption and release.
fn claim<'a>(snapshot: &'a Snapshot, set: &ReplicaSet, selector: &LabelSelector, plan: &mut Plan) -> Vec<&'a Arc<Pod>> {
    let mut owned = Vec::with_capacity(snapshot.pods.len());
    for pod in &snapshot.pods {
        let matches = !selector.is_everything() && selector.matches(&pod.metadata.labels);
        match meta::controller_of(&pod.metadata) {
            Some(owner) if owner.uid != meta::uid(set) => {}
            Some(_) if matches => owned.push(pod),
            Some(_) if meta::is_deleting(set) || meta::is_deleting(pod.as_ref()) => {}
            Some(_) => {
                let mut owners = pod.metadata.owner_references.clone().unwrap_or_default();
                owners.retain(|owner| owner.uid != meta::uid(set));
                plan.writes.push(Write::owners(pod.as_ref(), &owners));
                plan.because(format!("{} no longer matches", meta::name(pod.as_ref())));
            }
            None if matches && pods::is_active(pod) && !meta::is_deleting(set) && owned.len() < BURST_MAX => {
                let mut owners = pod.metadata.owner_references.clone().unwrap_or_default();
                owners.push(meta::controller_reference(set));
                plan.writes.push(Write::owners(pod.as_ref(), &owners));
                plan.because(format!("{} is adopted", meta::name(pod.as_ref())));
                owned.push(pod);
            }
            None => {}
        }
    }
    owned
}

fn create(snapshot: &Snapshot, set: &ReplicaSet, owned: &[&Arc<Pod>], missing: usize, plan: &mut Plan) {
    let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else {
        plan.because("the ReplicaSet has no template");
        return;
    };
    let bytes = serde_json::to_vec(template).map_or(BATCH_BYTES_MAX, |json| json.len());
    let count = missing.min(BURST_MAX).min((BATCH_BYTES_MAX / bytes.max(1)).max(1));
    let template_metadata = template.metadata.clone().unwrap_or_default();
    let prefix = format!("{}-", meta::name(set));
    let names = suffix::names(&prefix, meta::uid(set), owned.iter().map(|pod| meta::uid(pod.as_ref())));
    for name in names.filter(|name| !(snapshot.is_taken)(name)).take(count) {
        let pod = Pod {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: set.metadata.namespace.clone(),
                generate_name: Some(prefix.clone()),
                labels: template_metadata.labels.clone(),
                annotations: template_metadata.annotations.clone(),
                finalizers: template_metadata.finalizers.clone(),
                owner_references: Some(vec![meta::controller_reference(set)]),
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        };
        plan.writes.push(Write::Create(pod.into()));
        plan.notes.push(Note::normal(set, "SuccessfulCreate", format!("Created pod: {name}")));
    }
    plan.on_refusal = Some(Note::warning(set, "FailedCreate", "Error creating: ".to_owned()));
    if count < missing {
        plan.requeue(Duration::ZERO);
    }
}

pub(crate) struct Loop {
    caches: Caches,
}

impl Loop {
    pub fn new(caches: Caches) -> Self {
        Self { caches }
    }

    fn observe(&self, key: &Key) -> Snapshot {
        let cache = self.caches.pods.clone();
        let namespace = key.namespace.clone();
        let mut snapshot = Snapshot {
            replica_set: self.caches.replica_sets.get_key(key),
            pods: Vec::new(),
            related_on_node: HashMap::new(),
            is_taken: Box::new(move |name| cache.get(&namespace, name).is_some()),
        };
        let Some(set) = &snapshot.replica_set else { return snapshot };
        snapshot.pods = self.caches.pods.by_index(OWNER, meta::uid(set.as_ref()));
        snapshot.pods.extend(self.caches.pods.by_index(ORPHAN, &key.namespace));
        snapshot.related_on_node = self.related(set);
        snapshot
    }

    /// Active pods by node, of all ReplicaSets that have the same controller.
    fn related(&self, set: &ReplicaSet) -> HashMap<String, usize> {
        let siblings: Vec<String> = match meta::controller_of(&set.metadata) {
            Some(owner) => {
                let siblings = self.caches.replica_sets.by_index(OWNER, &owner.uid);
                siblings.iter().map(|sibling| meta::uid(sibling.as_ref()).to_owned()).collect()
            }
            None => vec![meta::uid(set).to_owned()],
        };
        let mut related = HashMap::new();
        for uid in siblings {
            for pod in self.caches.pods.by_index(OWNER, &uid) {
                if pods::is_active(&pod) && !pods::node_name(&pod).is_empty() {
                    *related.entry(pods::node_name(&pod).to_owned()).or_default() += 1;
                }
            }
        }
        related
    }
}

/// The key of the ReplicaSet that controls `pod`.
fn controller_key(pod: &Pod) -> Option<Key> {
    let owner = meta::controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
    Some(Key::new(meta::namespace(pod), owner.name.clone()))
}

impl Controller for Loop {
    type Key = Key;
    const NAME: &'static str = "replicaset";

    fn signals(self: &Arc<Self>, signals: &mut Signals<Key>) {
        signals.on(&self.caches.replica_sets, |change| vec![change.key.clone()]);
        let this = self.clone();
        signals.on(&self.caches.pods, move |change| {
            let states = [change.old.as_deref(), change.new.as_deref()];
            let mut keys: Vec<Key> = states.into_iter().flatten().filter_map(controller_key).collect();
            keys.dedup();
            if let Some(orphan) = change.new.as_deref().filter(|pod| meta::controller_of(&pod.metadata).is_none()) {
                let sets = this.caches.replica_sets.by_index(crate::caches::NAMESPACE, meta::namespace(orphan));
                keys.extend(sets.iter().filter(|set| selects(set, orphan)).map(|set| Key::of(set.as_ref())));
            }
            keys
        });
    }

    fn keys(&self) -> Vec<Key> {
        self.caches.replica_sets.keys()
    }

    async fn reconcile(&self, key: &Key) -> Result<Plan, Error> {
        Ok(plan(&self.observe(key), key, Timestamp::now()))
    }
}

fn selects(set: &ReplicaSet, pod: &Pod) -> bool {
    let selector = LabelSelector::from_object(set.spec.as_ref().map(|spec| &spec.selector));
    selector.is_ok_and(|selector| !selector.is_everything() && selector.matches(&pod.metadata.labels))
}

#[cfg(test)]
mod tests;
