//! The end of an object: at once, or marked and left to its finalizers, its grace period or the namespace controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use keelson_types::kinds::custom_resource_definition::CLEANUP;
use keelson_types::status::Status;
use serde_json::Value;

use super::allocate::Changes;
use super::{Answer, Guard, Plan, Planner, Write, encode, stored};
use crate::cache::Object;
use crate::keys;
use crate::pipeline::admit::admit_delete;
use crate::pipeline::request::{DeleteOptions, Outcome, Propagation, Target};
use crate::value;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// A pod's grace period when neither it nor the caller says.
const POD_GRACE_SECONDS: i64 = 30;

impl Planner<'_> {
    pub(super) fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Plan, Status> {
        admit_delete(target)?;
        let kind = target.kind;
        let found = self.cached(kind, &target.namespace, &target.name)?;
        let old = found.value().map_err(Status::internal)?;
        check(target, &found, &old, options)?;

        let mut new = old.clone();
        value::remove_metadata(&mut new, "resourceVersion");
        propagate(&mut new, options.propagation);
        if std::ptr::eq(kind, self.kinds.definitions) && !value::is_deleting(&new) {
            // Its objects go first.
            let mut finalizers = value::finalizers(&new);
            if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
                finalizers.push(CLEANUP.to_owned());
            }
            value::set_finalizers(&mut new, &finalizers);
        }
        let grace_seconds = self.grace_seconds(target, &new, options);
        let was_deleting = value::is_deleting(&new);
        let waits = !value::finalizers(&new).is_empty() || !value::spec_finalizers(&new).is_empty();
        if !waits && grace_seconds == 0 {
            return self.remove(target, &found, &old);
        }

        let earlier_seconds = new["metadata"]["deletionGracePeriodSeconds"].as_i64();
        if !was_deleting || earlier_seconds.is_some_and(|earlier| grace_seconds < earlier) {
            // The timestamp tells when the grace period is over; the last one there is, for a period longer than the calendar.
            let grace = jiff::SignedDuration::from_secs(grace_seconds);
            let deadline = self.now.checked_add(grace).unwrap_or(jiff::Timestamp::MAX);
            value::set_metadata(&mut new, "deletionTimestamp", keelson_types::meta::time_text(deadline).into());
            value::set_metadata(&mut new, "deletionGracePeriodSeconds", grace_seconds.into());
        }
        if std::ptr::eq(kind, self.kinds.namespaces)
            && let Some(status) = value::map(&mut new, "status")
        {
            status.insert("phase".to_owned(), "Terminating".into());
        }
        let key = keys::object(kind, found.path());
        let mut guards = vec![Guard::unmodified(key.clone(), found.revision())];
        // It is written as this member's schema shows it.
        guards.extend(self.defined(kind)?);
        let mut unversioned = old;
        value::remove_metadata(&mut unversioned, "resourceVersion");
        if new == unversioned {
            let answer = Answer::Existing { object: found, outcome: Outcome::Deleting };
            return Ok(Plan { guards, writes: BTreeMap::new(), answer, as_scale: false, warnings: Vec::new() });
        }
        let text = encode(&new)?;
        let writes = BTreeMap::from([(key, Write::Put { value: stored(kind, &new, &text)?, lease: self.lease(kind) })]);
        let answer = Answer::Stored { value: text, outcome: Outcome::Deleting };
        Ok(Plan { guards, writes, answer, as_scale: false, warnings: Vec::new() })
    }

    fn remove(&self, target: &Target, found: &Arc<Object>, old: &Value) -> Result<Plan, Status> {
        let key = keys::object(target.kind, found.path());
        let mut guards = vec![Guard::unmodified(key.clone(), found.revision())];
        let mut writes = BTreeMap::from([(key, Write::Delete)]);
        if std::ptr::eq(target.kind, self.kinds.services) {
            Changes::release(old).add_to(found.path(), &mut guards, &mut writes);
        }
        let answer = Answer::Existing { object: found.clone(), outcome: Outcome::Removed };
        Ok(Plan { guards, writes, answer, as_scale: false, warnings: Vec::new() })
    }

    /// Only pods that run somewhere get time to end.
    fn grace_seconds(&self, target: &Target, object: &Value, options: &DeleteOptions) -> i64 {
        if !std::ptr::eq(target.kind, self.kinds.pods) {
            return 0;
        }
        let bound = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
        let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if !bound || ended {
            return 0;
        }
        let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(POD_GRACE_SECONDS);
        let seconds = options.grace_period_seconds.unwrap_or(own);
        // As in Kubernetes, a negative period means one second.
        let seconds = if seconds < 0 { 1 } else { seconds };
        match object["metadata"]["deletionGracePeriodSeconds"].as_i64() {
            // A second deletion can only shorten.
            Some(earlier) if value::is_deleting(object) => seconds.min(earlier),
            _ => seconds,
        }
    }
}

fn check(target: &Target, found: &Object, old: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let kind = target.kind;
    let conflict = |what: &str, asked: &str, own: &str| {
        let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {own}");
        Err(Status::conflict(kind.group, kind.plural, &target.name, &why))
    };
    let uid = value::metadata_text(old, "uid");
    if !options.uid.is_empty() && options.uid != uid {
        return conflict("UID", &options.uid, uid);
    }
    let version = found.revision().to_string();
    if !options.resource_version.is_empty() && options.resource_version != version {
        return conflict("ResourceVersion", &options.resource_version, &version);
    }
    Ok(())
}

/// Who deletes the dependents is told to the garbage collector by a finalizer.
fn propagate(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let mut finalizers = value::finalizers(object);
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
    }
    value::set_finalizers(object, &finalizers);
}
