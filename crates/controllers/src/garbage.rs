//! Owner references: what has lost all its owners goes; an owner that is deleted with foreground propagation waits for its
//! dependents, one with orphan propagation lets them go.
//!
//! A cache says who depends on whom; that an owner does not exist is read linearizably before anything is deleted for it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use keelson_client::{Client, DeleteOptions, Error, Patch, Propagation, Resource};
use keelson_types::meta::Key;
use keelson_types::{Object, registry};
use parking_lot::Mutex;
use serde_json::json;

use crate::caches::{AnyObject, Caches};
use crate::custom::Known;
use crate::driver::{Controller, Signals};
use crate::plan::{Plan, WRITES_MAX, Write};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// One object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub resource: Resource,
    pub key: Key,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.qualified(), self.key)
    }
}

/// How an owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It exists, or nobody can tell.
    Present,
    /// It exists and is being deleted with foreground propagation.
    WaitsForDependents,
    /// It surely does not exist, or another object has its name.
    Gone,
}

/// What is known about one object.
pub struct Snapshot {
    pub object: Option<AnyObject>,
    pub owners: Vec<(OwnerReference, Owner)>,
    /// Looked up only for an object that is being deleted, and for one whose owner waits.
    pub dependents: Vec<AnyObject>,
}

/// Plans what ownership asks of `target`.
pub fn plan(snapshot: &Snapshot, target: &Target) -> Plan {
    let Some(object) = &snapshot.object else { return Plan::nothing(format!("{target} is gone")) };
    if object.metadata.deletion_timestamp.is_some() {
        return if has_finalizer(object, ORPHAN) {
            orphan(snapshot, object)
        } else if has_finalizer(object, FOREGROUND) {
            wait_for_dependents(snapshot, object)
        } else {
            Plan::nothing("it is being deleted")
        };
    }
    if snapshot.owners.is_empty() {
        return Plan::nothing("it has no owners");
    }
    let is = |state: Owner| snapshot.owners.iter().filter(move |(_, owner)| *owner == state);
    let lost = snapshot.owners.len() - is(Owner::Present).count();
    if lost == 0 {
        return Plan::nothing("its owners are there");
    }
    let mut plan = Plan::default();
    if is(Owner::Present).count() > 0 {
        let kept: Vec<&OwnerReference> = is(Owner::Present).map(|(reference, _)| reference).collect();
        plan.writes.push(patch_metadata(object, json!({ "ownerReferences": kept })));
        plan.because(format!("{lost} of {} owners are gone", snapshot.owners.len()));
        return plan;
    }
    let waited_for = is(Owner::WaitsForDependents).count() > 0;
    let propagation =
        if waited_for && !snapshot.dependents.is_empty() { Propagation::Foreground } else { Propagation::Background };
    plan.writes.push(delete(object, propagation));
    plan.because(if waited_for { "its owner waits for it" } else { "its owners are gone" });
    plan
}

/// Takes the owner out of its dependents, then the finalizer out of the owner.
fn orphan(snapshot: &Snapshot, object: &AnyObject) -> Plan {
    let mut plan = Plan::default();
    let uid = object.metadata.uid.as_deref();
    for dependent in snapshot.dependents.iter().take(WRITES_MAX) {
        let owners = dependent.metadata.owner_references.iter().flatten();
        let kept: Vec<_> = owners.filter(|owner| Some(owner.uid.as_str()) != uid).collect();
        plan.writes.push(patch_metadata(dependent, json!({ "ownerReferences": kept })));
    }
    if plan.writes.is_empty() {
        plan.writes.push(without_finalizer(object, ORPHAN));
        plan.because("no dependents are left");
    } else {
        plan.because("its dependents are let go");
        plan.requeue(Duration::ZERO);
    }
    plan
}

/// Deletes the dependents, and removes the finalizer when none of those is left that block.
fn wait_for_dependents(snapshot: &Snapshot, object: &AnyObject) -> Plan {
    let uid = object.metadata.uid.as_deref();
    let blocks = |dependent: &AnyObject| {
        let mut owners = dependent.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(owner.uid.as_str()) == uid && owner.block_owner_deletion == Some(true))
    };
    let mut plan = Plan::default();
    let blocking = snapshot.dependents.iter().filter(|dependent| blocks(dependent)).count();
    if blocking == 0 {
        plan.writes.push(without_finalizer(object, FOREGROUND));
        plan.because("no dependents block it");
    } else {
        plan.because(format!("waiting for {blocking} dependents"));
    }
    plan
}

fn has_finalizer(object: &AnyObject, finalizer: &str) -> bool {
    object.metadata.finalizers.iter().flatten().any(|known| known == finalizer)
}

fn without_finalizer(object: &AnyObject, finalizer: &str) -> Write {
    let kept: Vec<_> = object.metadata.finalizers.iter().flatten().filter(|known| *known != finalizer).collect();
    patch_metadata(object, json!({ "finalizers": kept }))
}

/// A patch of metadata that is guarded by the resourceVersion it was planned from.
fn patch_metadata(object: &AnyObject, mut metadata: serde_json::Value) -> Write {
    metadata["resourceVersion"] = json!(object.metadata.resource_version);
    metadata["uid"] = json!(object.metadata.uid);
    Write::Patch(name(object), Patch::Merge(json!({ "metadata": metadata })))
}

fn delete(object: &AnyObject, propagation: Propagation) -> Write {
    let mut options = DeleteOptions::uid(object.metadata.uid.clone().unwrap_or_default());
    options.resource_version = object.metadata.resource_version.clone().unwrap_or_default();
    options.propagation = propagation;
    Write::Delete(name(object), options)
}

fn name(object: &AnyObject) -> keelson_client::ObjectName {
    let ObjectMeta { namespace, name, .. } = object.metadata.as_ref();
    object.resource.object(namespace.clone().unwrap_or_default(), name.clone().unwrap_or_default())
}

/// How many owners are remembered as gone. An entry saves one read for each dependent of a large owner.
const ABSENT_MAX: usize = 4096;

pub(crate) struct Loop {
    caches: Caches,
    client: Client,
    /// UIDs of owners that were read and not found. UIDs never come back.
    absent: Mutex<HashSet<String>>,
    custom: Known,
}

impl Loop {
    pub fn new(caches: Caches, client: Client) -> Self {
        Self { caches, client, absent: Mutex::default(), custom: Known::default() }
    }

    fn dependents(&self, object: &AnyObject) -> Vec<AnyObject> {
        let Some(uid) = object.metadata.uid.as_deref().filter(|uid| !uid.is_empty()) else { return Vec::new() };
        self.caches.all().into_iter().flat_map(|cache| cache.owned_by(uid)).collect()
    }

    async fn owner(&self, dependent: &AnyObject, reference: &OwnerReference) -> Result<Owner, Error> {
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        let namespace = dependent.metadata.namespace.as_deref().unwrap_or_default();
        let (resource, namespaced) = match registry::by_kind(group, &reference.kind) {
            Some(kind) => (Resource::new(kind.group, kind.version, kind.plural), kind.namespaced),
            None => match self.custom.find(&self.client, group, &reference.kind).await? {
                Some(custom) => (custom.resource, custom.namespaced),
                None => return Ok(Owner::Present),
            },
        };
        if namespaced && namespace.is_empty() {
            // A cluster-scoped object cannot be owned by one in a namespace: nobody can say which one is meant.
            return Ok(Owner::Present);
        }
        let key = Key::new(if namespaced { namespace } else { "" }, reference.name.clone());
        if let Some(owner) = self.caches.of(&resource).and_then(|cache| cache.find(&key))
            && owner.metadata.uid.as_deref() == Some(reference.uid.as_str())
        {
            let waits = owner.metadata.deletion_timestamp.is_some() && has_finalizer(&owner, FOREGROUND);
            return Ok(if waits { Owner::WaitsForDependents } else { Owner::Present });
        }
        if self.absent.lock().contains(&reference.uid) {
            return Ok(Owner::Gone);
        }
        let found = match self.client.raw().get(&resource.object(key.namespace, key.name)).await {
            Ok(found) => found["metadata"]["uid"].as_str() == Some(reference.uid.as_str()),
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error),
        };
        if found {
            return Ok(Owner::Present);
        }
        let mut absent = self.absent.lock();
        if absent.len() >= ABSENT_MAX {
            absent.clear();
        }
        absent.insert(reference.uid.clone());
        Ok(Owner::Gone)
    }

    /// A change concerns the object itself, when ownership may ask something of it, and, when it goes away or waits for
    /// its dependents, those.
    fn concerned<K: Object>(&self, old: Option<&K>, new: Option<&K>) -> Vec<Target> {
        let mut targets = Vec::new();
        if let Some(new) = new {
            let metadata = new.metadata();
            let deleting = metadata.deletion_timestamp.is_some();
            let finalized = metadata.finalizers.iter().flatten().any(|known| known == FOREGROUND || known == ORPHAN);
            let had = old.and_then(|old| old.metadata().owner_references.clone());
            if (deleting && finalized) || (metadata.owner_references.is_some() && metadata.owner_references != had) {
                targets.push(Target { resource: Resource::of::<K>(), key: Key::of(new) });
            }
            if deleting && finalized {
                targets.extend(self.dependents(&AnyObject::of(new)).iter().map(target));
            }
        }
        let gone = old.filter(|old| new.is_none_or(|new| new.metadata().uid != old.metadata().uid));
        if let Some(gone) = gone {
            targets.extend(self.dependents(&AnyObject::of(gone)).iter().map(target));
            // An owner may be waiting for this one.
            for reference in gone.metadata().owner_references.iter().flatten() {
                let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
                if let Some(kind) = registry::by_kind(group, &reference.kind) {
                    let namespace = if kind.namespaced { gone.metadata().namespace.clone() } else { None };
                    targets.push(Target {
                        resource: Resource::new(kind.group, kind.version, kind.plural),
                        key: Key::new(namespace.unwrap_or_default(), reference.name.clone()),
                    });
                }
            }
        }
        targets
    }
}

fn target(object: &AnyObject) -> Target {
    let name = name(object);
    Target { resource: name.resource, key: Key::new(name.namespace, name.name) }
}

macro_rules! for_each_cache {
    ($caches:expr, $cache:ident => $body:expr) => {{
        let caches = $caches;
        for_each_cache!(@ caches, $cache => $body; pods replica_sets deployments services endpoint_slices nodes leases
            namespaces service_accounts config_maps secrets);
    }};
    (@ $caches:ident, $cache:ident => $body:expr; $($field:ident)*) => {
        $({
            let $cache = &$caches.$field;
            $body;
        })*
    };
}

impl Controller for Loop {
    type Key = Target;
    const NAME: &'static str = "garbage-collector";

    fn signals(self: &Arc<Self>, signals: &mut Signals<Target>) {
        for_each_cache!(&self.caches, cache => {
            let this = self.clone();
            signals.on(cache, move |change| this.concerned(change.old.as_deref(), change.new.as_deref()))
        });
    }

    fn keys(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for_each_cache!(&self.caches, cache => {
            for object in cache.list() {
                targets.extend(self.concerned(None, Some(object.as_ref())));
            }
        });
        targets
    }

    async fn reconcile(&self, key: &Target) -> Result<Plan, Error> {
        let object = self.caches.of(&key.resource).and_then(|cache| cache.find(&key.key));
        let mut snapshot = Snapshot { object, owners: Vec::new(), dependents: Vec::new() };
        if let Some(object) = &snapshot.object {
            if object.metadata.deletion_timestamp.is_none() {
                for reference in object.metadata.owner_references.iter().flatten() {
                    snapshot.owners.push((reference.clone(), self.owner(object, reference).await?));
                }
            }
            snapshot.dependents = self.dependents(object);
        }
        Ok(plan(&snapshot, key))
    }
}

#[cfg(test)]
mod tests;
