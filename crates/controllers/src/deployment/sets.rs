//! The ReplicaSets of one Deployment as a plan changes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use keelson_types::meta;
use keelson_types::selector::LabelSelector;

use super::Bounds;
use super::revision::{self, DESIRED_REPLICAS, MAX_REPLICAS, TEMPLATE_HASH};
use crate::plan::{Note, Plan, Write};

/// One ReplicaSet, as it is and as it shall be.
pub struct Set {
    before: Option<Arc<ReplicaSet>>,
    pub now: ReplicaSet,
    deleted: bool,
}

impl Set {
    fn existing(set: Arc<ReplicaSet>) -> Self {
        Self { now: ReplicaSet::clone(&set), before: Some(set), deleted: false }
    }

    /// The size it shall have.
    pub fn size(&self) -> i32 {
        size(&self.now)
    }

    pub fn set_size(&mut self, size: i32) {
        self.now.spec.get_or_insert_default().replicas = Some(size.max(0));
    }

    /// How many of its pods are available; never more than it shall have, since what is more is about to go.
    pub fn available(&self) -> i32 {
        let available = self.now.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
        available.clamp(0, self.size())
    }

    /// Whether the status tells of the size that the set has now.
    pub fn is_observed(&self) -> bool {
        let observed = self.now.status.as_ref().and_then(|status| status.observed_generation);
        observed.unwrap_or(0) >= self.now.metadata.generation.unwrap_or(1)
    }

    fn is_changed(&self) -> bool {
        self.deleted || self.before.as_deref() != Some(&self.now)
    }

    pub fn annotation(&self, key: &str) -> Option<i32> {
        meta::annotation(&self.now, key).and_then(|value| value.parse().ok())
    }

    pub fn annotate(&mut self, key: &str, value: String) {
        self.now.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value);
    }
}

pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1).max(0)
}

/// All ReplicaSets of one Deployment.
pub struct Sets {
    /// Oldest first.
    pub all: Vec<Set>,
    /// Which of `all` has the Deployment's template.
    pub new: Option<usize>,
    /// Sets of the namespace that belong to somebody else.
    foreign: Vec<Arc<ReplicaSet>>,
    /// Sets that no longer match and are let go.
    released: Vec<ReplicaSet>,
}

impl Sets {
    /// Takes what belongs to `deployment` from the sets of its namespace: adopts orphans that match, releases what does not.
    pub fn claim(deployment: &Deployment, namespace_sets: &[Arc<ReplicaSet>], selector: &LabelSelector) -> Self {
        let mut sets = Self { all: Vec::new(), new: None, foreign: Vec::new(), released: Vec::new() };
        for set in namespace_sets {
            let matches = selector.matches(&set.metadata.labels);
            match meta::controller_of(&set.metadata) {
                Some(owner) if owner.uid != meta::uid(deployment) => sets.foreign.push(set.clone()),
                Some(_) if matches || meta::is_deleting(deployment) => sets.all.push(Set::existing(set.clone())),
                Some(_) => {
                    let mut released = ReplicaSet::clone(set);
                    if let Some(owners) = &mut released.metadata.owner_references {
                        owners.retain(|owner| owner.uid != meta::uid(deployment));
                    }
                    sets.released.push(released);
                    sets.foreign.push(set.clone());
                }
                None if matches && !meta::is_deleting(deployment) && !meta::is_deleting(set.as_ref()) => {
                    let mut adopted = Set::existing(set.clone());
                    let owners = adopted.now.metadata.owner_references.get_or_insert_default();
                    owners.push(meta::controller_reference(deployment));
                    sets.all.push(adopted);
                }
                None => sets.foreign.push(set.clone()),
            }
        }
        sets.all.sort_by(|a, b| age(&a.now).cmp(&age(&b.now)));
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        sets.new = sets.all.iter().position(|set| {
            let own = set.now.spec.as_ref().and_then(|spec| spec.template.as_ref());
            !meta::is_deleting(&set.now) && template.zip(own).is_some_and(|(a, b)| equal_templates(a, b))
        });
        sets
    }

    pub fn new_set(&self) -> Option<&Set> {
        self.new.and_then(|index| self.all.get(index))
    }

    pub fn new_set_mut(&mut self) -> Option<&mut Set> {
        self.new.and_then(|index| self.all.get_mut(index))
    }

    /// All but the new one, oldest first.
    pub fn old(&self) -> impl Iterator<Item = &Set> {
        let new = self.new;
        self.all.iter().enumerate().filter(move |(index, _)| Some(*index) != new).map(|(_, set)| set)
    }

    pub fn old_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        let new = self.new;
        self.all.iter_mut().enumerate().filter(move |(index, _)| Some(*index) != new).map(|(_, set)| set)
    }

    /// The pods that all sets together shall have.
    pub fn total(&self) -> i32 {
        self.all.iter().fold(0, |sum: i32, set| sum.saturating_add(set.size()))
    }

    pub fn available(&self) -> i32 {
        self.all.iter().fold(0, |sum: i32, set| sum.saturating_add(set.available()))
    }

    /// Whether every status tells of the present sizes. A set that shrank and grew again may still tell of pods that are
    /// gone; counting those as available would take the last ones away.
    pub fn are_observed(&self) -> bool {
        self.all.iter().all(Set::is_observed)
    }

    pub fn push_new(&mut self, set: ReplicaSet) {
        self.new = Some(self.all.len());
        self.all.push(Set { before: None, now: set, deleted: false });
    }

    /// Whether a ReplicaSet of this name exists in the namespace.
    pub fn is_taken(&self, name: &str) -> bool {
        let own = self.all.iter().map(|set| meta::name(&set.now));
        own.chain(self.foreign.iter().map(|set| meta::name(set.as_ref()))).any(|taken| taken == name)
    }

    /// Brings the annotations of the sets up to date with the Deployment: the revision of the new one, and, with `sizes`,
    /// the replicas that all active ones are scaled for.
    pub fn annotate(&mut self, deployment: &Deployment, sizes: bool) {
        let last_old = self.old().map(|set| revision::of(&set.now)).max().unwrap_or(0);
        let min_ready_seconds = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        if let Some(new) = self.new_set_mut() {
            revision::on_new_set(deployment, &mut new.now, last_old + 1);
            if let Some(spec) = &mut new.now.spec
                && spec.min_ready_seconds.unwrap_or(0) != min_ready_seconds.unwrap_or(0)
            {
                spec.min_ready_seconds = min_ready_seconds;
            }
        }
        if sizes && let Some(spec) = &deployment.spec {
            let bounds = Bounds::of(spec);
            for set in self.all.iter_mut().filter(|set| set.size() > 0) {
                set.annotate(DESIRED_REPLICAS, bounds.replicas.to_string());
                set.annotate(MAX_REPLICAS, bounds.total_max().to_string());
            }
        }
    }

    pub fn is_changed(&self) -> bool {
        !self.released.is_empty() || self.all.iter().any(Set::is_changed)
    }

    /// The revision that the new set has.
    pub fn new_revision(&self) -> Option<i64> {
        self.new_set().map(|set| revision::of(&set.now)).filter(|revision| *revision > 0)
    }

    /// Deletes the oldest revisions beyond the limit, if nothing is left of them.
    pub fn clean_up(&mut self, deployment: &Deployment) {
        let Some(limit) = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit) else { return };
        if limit == i32::MAX {
            return;
        }
        let mut old: Vec<&mut Set> = self.old_mut().filter(|set| !meta::is_deleting(&set.now)).collect();
        old.sort_by_key(|set| revision::of(&set.now));
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for set in old.into_iter().take(surplus) {
            let status = set.now.status.clone().unwrap_or_default();
            let observed = status.observed_generation.unwrap_or(0) >= set.now.metadata.generation.unwrap_or(0);
            if set.size() == 0 && status.replicas == 0 && observed {
                set.deleted = true;
            }
        }
    }

    /// Adds the writes that turn what is into what shall be.
    pub fn write(&mut self, deployment: &Deployment, plan: &mut Plan) {
        for set in self.released.drain(..) {
            plan.because(format!("{} no longer matches", meta::name(&set)));
            plan.writes.push(Write::Update(set.into()));
        }
        for set in self.all.iter().filter(|set| set.is_changed()) {
            let name = meta::name(&set.now);
            let (from, to) = (set.before.as_deref().map_or(0, size), set.size());
            if set.deleted {
                plan.writes.push(Write::delete(&set.now, None));
                plan.because(format!("{name} is beyond the history limit"));
                continue;
            }
            if from != to {
                let direction = if to > from { "up" } else { "down" };
                let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
                plan.because(message.clone());
                plan.notes.push(Note::normal(deployment, "ScalingReplicaSet", message));
            }
            plan.writes.push(match set.before {
                Some(_) => Write::Update(set.now.clone().into()),
                None => Write::Create(set.now.clone().into()),
            });
            if set.before.is_none() {
                let message = format!("Failed to create new replica set {name:?}: ");
                plan.on_refusal = Some(Note::warning(deployment, "ReplicaSetCreateError", message));
            }
        }
    }
}

/// Sorts oldest first; sets made in the same second by name.
fn age(set: &ReplicaSet) -> (Option<jiff::Timestamp>, &str) {
    (set.metadata.creation_timestamp.as_ref().map(|time| time.0), meta::name(set))
}

/// Whether the templates are the same but for the hash that tells ReplicaSets apart.
fn equal_templates(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    fn labels(template: &PodTemplateSpec) -> BTreeMap<&str, &str> {
        let labels = template.metadata.iter().flat_map(|metadata| metadata.labels.iter().flatten());
        labels.filter(|(key, _)| *key != TEMPLATE_HASH).map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
    fn annotations(template: &PodTemplateSpec) -> BTreeMap<&str, &str> {
        let annotations = template.metadata.iter().flat_map(|metadata| metadata.annotations.iter().flatten());
        annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
    a.spec == b.spec && labels(a) == labels(b) && annotations(a) == annotations(b)
}
