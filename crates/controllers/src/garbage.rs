//! Owner references: what has lost all its owners goes; an owner that is deleted with foreground propagation waits for its
//! dependents, one with orphan propagation lets them go.
//!
//! A cache says who depends on whom; that an owner does not exist is read linearizably before anything is deleted for it.

mod absent;
mod follow;
mod owner;
mod unseen;

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use keelson_client::{DeleteOptions, Patch, Propagation, Resource};
use keelson_types::meta::Key;
use serde_json::json;

use crate::caches::AnyObject;
use crate::custom::Unseen;
use crate::plan::{Plan, WRITES_MAX, Write};

pub(crate) use follow::Loop;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// When to look again at what waits for a kind to be known.
const POLL: Duration = Duration::from_secs(1);
/// And for one that nobody serves, which takes somebody to change.
const POLL_HIDDEN: Duration = Duration::from_secs(5);
/// Kinds that are named in a plan.
const NAMES_MAX: usize = 10;

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
    /// Kinds of which it may have dependents that nobody sees; looked up only for an object that waits for its dependents.
    pub unseen: Vec<Unseen>,
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
    // Dependents that nobody sees now would be deleted when they are seen again: their owner is gone then, and they name it still.
    if plan.writes.is_empty() && !snapshot.unseen.is_empty() {
        return not_yet(snapshot.unseen.iter());
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
    // What is of a kind that nobody serves goes when it is served again; its owner does not wait for that.
    let mut served = snapshot.unseen.iter().filter(|unseen| unseen.served).peekable();
    if blocking == 0 && served.peek().is_some() {
        return not_yet(served);
    }
    if blocking == 0 {
        plan.writes.push(without_finalizer(object, FOREGROUND));
        plan.because("no dependents block it");
    } else {
        plan.because(format!("waiting for {blocking} dependents"));
    }
    plan
}

fn not_yet<'u>(mut unseen: impl Iterator<Item = &'u Unseen> + Clone) -> Plan {
    let names: Vec<&str> = unseen.clone().map(|unseen| unseen.name.as_str()).take(NAMES_MAX).collect();
    let mut plan = Plan::nothing(format!("it may have dependents that nobody sees now, of {}", names.join(", ")));
    plan.requeue(if unseen.any(|unseen| unseen.served) { POLL } else { POLL_HIDDEN });
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

#[cfg(test)]
mod tests;
