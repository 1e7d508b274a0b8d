//! A successor of an object that exists: by replacement, patch or subresource.

use std::collections::BTreeMap;
use std::sync::Arc;

use keelson_types::status::Status;
use keelson_types::{Kind, Target as Part, field};
use serde_json::Value;

use super::{Answer, Guard, Managing, Plan, Planner, Write, encode, stored};
use crate::cache::Object;
use crate::keys;
use crate::managed;
use crate::patch;
use crate::pipeline::request::{Outcome, PatchType, Subresource, Target};
use crate::pipeline::{decode, scale};
use crate::value;

/// Metadata that only the system sets.
const SYSTEM_METADATA: [&str; 5] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"];

impl Planner<'_> {
    pub(super) fn replace(&self, target: &Target, object: &Value, warnings: &[String]) -> Result<Plan, Status> {
        let found = match self.cached(target.kind, &target.namespace, &target.name) {
            Err(missing) if target.subresource == Subresource::None && target.kind.is_created_by_update() => {
                return self.make_by_update(target, object, missing, warnings);
            }
            found => found?,
        };
        let new = match target.subresource {
            Subresource::Scale => scale::set(target.kind, &found.value().map_err(Status::internal)?, object)?,
            _ => object.clone(),
        };
        self.succeed(target, &found, new, Managing::Track, warnings.to_vec())
    }

    /// A replacement of what is not there. Who has seen the object before does not make it anew: it was deleted meanwhile.
    fn make_by_update(
        &self,
        target: &Target,
        object: &Value,
        missing: Status,
        warnings: &[String],
    ) -> Result<Plan, Status> {
        let kind = target.kind;
        let uid = value::metadata_text(object, "uid");
        if !uid.is_empty() {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
            return Err(Status::conflict(kind.group, kind.plural, &target.name, &why));
        }
        if !value::metadata_text(object, "resourceVersion").is_empty() {
            return Err(missing);
        }
        self.create(target, object.clone(), Managing::Track, warnings.to_vec())
    }

    /// A patch is of the kind that the caller sees.
    pub(super) fn patch(
        &self,
        target: &Target,
        shown: &'static Kind,
        patch_type: PatchType,
        text: &[u8],
    ) -> Result<Plan, Status> {
        let found = self.cached(target.kind, &target.namespace, &target.name)?;
        let old = found.value().map_err(Status::internal)?;
        if target.subresource == Subresource::Scale {
            // A Scale has no lists, so a strategic patch of it is a merge patch.
            let patch_type = if patch_type == PatchType::Strategic { PatchType::Merge } else { patch_type };
            let patched = patch::patch(patch_type, scale::value(target.kind, &old), text, target.kind)?;
            return self.succeed(target, &found, scale::set(target.kind, &old, &patched)?, Managing::Track, Vec::new());
        }
        let old = match shown.view() {
            Some(view) => (view.from_stored)(old),
            None => old,
        };
        let patched = patch::patch(patch_type, old, text, shown)?;
        let seen = Target { kind: shown, ..target.clone() };
        let (new, warnings) = decode::patched(&seen, patched, text, self.options.field_validation)?;
        let (_, new) = decode::as_stored(&seen, new)?;
        self.succeed(target, &found, new, Managing::Track, warnings)
    }

    /// Checks and completes `new` as the successor of `found`, and plans what that takes.
    pub(super) fn succeed(
        &self,
        target: &Target,
        found: &Arc<Object>,
        mut new: Value,
        managing: Managing,
        mut warnings: Vec<String>,
    ) -> Result<Plan, Status> {
        let kind = target.kind;
        let mut old = found.value().map_err(Status::internal)?;
        self.check_preconditions(target, found, &old, &new)?;
        value::remove_metadata(&mut old, "resourceVersion");
        value::remove_metadata(&mut new, "resourceVersion");
        let brought = value::remove_metadata(&mut new, "managedFields");
        for field in SYSTEM_METADATA {
            value::keep_metadata(&mut new, &old, field);
        }
        match target.subresource {
            Subresource::Finalize => {
                let finalizers = new["spec"]["finalizers"].take();
                new = old.clone();
                if let Some(spec) = value::map(&mut new, "spec") {
                    spec.remove("finalizers");
                    if finalizers.as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
                        spec.insert("finalizers".to_owned(), finalizers);
                    }
                }
            }
            Subresource::Approval => {
                let conditions = new["status"]["conditions"].take();
                new = old.clone();
                if let Some(status) = value::map(&mut new, "status") {
                    status.remove("conditions");
                    if conditions.is_array() {
                        status.insert("conditions".to_owned(), conditions);
                    }
                }
            }
            Subresource::Status => {
                kind.default(&mut new);
                kind.prepare_update(&mut new, &old, Part::Status);
            }
            Subresource::EphemeralContainers | Subresource::Resize => {
                kind.default(&mut new);
                kind.prepare_update(&mut new, &old, part(target.subresource));
            }
            Subresource::None
            | Subresource::Scale
            | Subresource::Binding
            | Subresource::Eviction
            | Subresource::Log
            | Subresource::Session(_) => {
                kind.default(&mut new);
                if std::ptr::eq(kind, self.kinds.namespaces) {
                    // Only `finalize` changes them.
                    if let (Some(spec), Some(finalizers)) =
                        (value::map(&mut new, "spec"), old["spec"].get("finalizers"))
                    {
                        spec.insert("finalizers".to_owned(), finalizers.clone());
                    }
                }
                kind.prepare_update(&mut new, &old, Part::Object);
            }
        }
        let mut errors: Vec<field::Error> = Vec::new();
        let mut allocations = super::allocate::Changes::default();
        if std::ptr::eq(kind, self.kinds.services) {
            allocations = self.allocate(&mut new, Some(&old), &mut errors)?;
        }
        errors.extend(kind.validate_update_of(part(target.subresource), &new, &old));
        self.check_definition(kind, &new, Some(&old), &mut errors);
        if !errors.is_empty() {
            return Err(Status::invalid(kind.group, kind.kind, found.name(), &errors));
        }
        if target.subresource == Subresource::None {
            self.warn(kind, &new, Some(&old), &mut warnings);
        }
        self.manage(target, &mut new, &old, brought, managing)?;
        let key = keys::object(kind, found.path());
        let mut guards = vec![Guard::unmodified(key.clone(), found.revision())];
        guards.extend(self.defined(kind)?);
        let as_scale = target.subresource == Subresource::Scale;
        if new == old {
            let answer = Answer::Existing { object: found.clone(), outcome: Outcome::Unchanged };
            return Ok(Plan { guards, writes: BTreeMap::new(), answer, as_scale, warnings });
        }
        let text = encode(&new)?;
        let (write, outcome) = if is_finished(&new) {
            if std::ptr::eq(kind, self.kinds.services) {
                allocations = super::allocate::Changes::release(&old);
            }
            (Write::Delete, Outcome::Removed)
        } else {
            (Write::Put { value: stored(kind, &new, &text)?, lease: self.lease(kind) }, Outcome::Configured)
        };
        let mut writes = BTreeMap::from([(key, write)]);
        allocations.add_to(found.path(), &mut guards, &mut writes);
        Ok(Plan { guards, writes, answer: Answer::Stored { value: text, outcome }, as_scale, warnings })
    }

    /// Gives `new` its managedFields; `brought` came with it.
    fn manage(
        &self,
        target: &Target,
        new: &mut Value,
        old: &Value,
        brought: Option<Value>,
        managing: Managing,
    ) -> Result<(), Status> {
        let entries = match managing {
            Managing::Applied => brought,
            Managing::Track => {
                value::set_metadata(new, "managedFields", brought.unwrap_or_default());
                self.as_writer(target, |writer| managed::updated(target.kind, old, new, writer))?
            }
        };
        match entries {
            Some(entries) => value::set_metadata(new, "managedFields", entries),
            None => {
                value::remove_metadata(new, "managedFields");
            }
        }
        Ok(())
    }

    /// A resourceVersion or UID in the new object is a condition.
    fn check_preconditions(&self, target: &Target, found: &Object, old: &Value, new: &Value) -> Result<(), Status> {
        let kind = target.kind;
        let uid = value::metadata_text(new, "uid");
        let old_uid = value::metadata_text(old, "uid");
        if !uid.is_empty() && uid != old_uid {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}");
            return Err(Status::conflict(kind.group, kind.plural, found.name(), &why));
        }
        match value::metadata_text(new, "resourceVersion") {
            "" => Ok(()),
            // An unparsable version is one that never was.
            version if version.parse() == Ok(found.revision()) => Ok(()),
            version if version.parse::<i64>().is_err() => {
                let path = field::Path::new("metadata");
                let error = field::Error::invalid(&path.child("resourceVersion"), version, "must be a number");
                Err(Status::invalid(kind.group, kind.kind, found.name(), &[error]))
            }
            _ => Err(Status::modified(kind.group, kind.plural, found.name())),
        }
    }
}

/// What a subresource changes, in the words of the kinds.
fn part(subresource: Subresource) -> Part {
    match subresource {
        Subresource::EphemeralContainers => Part::EphemeralContainers,
        Subresource::Resize => Part::Resize,
        Subresource::Status => Part::Status,
        Subresource::None
        | Subresource::Scale
        | Subresource::Approval
        | Subresource::Finalize
        | Subresource::Binding
        | Subresource::Eviction
        | Subresource::Log
        | Subresource::Session(_) => Part::Object,
    }
}

/// Whether nothing keeps an object any more that is marked for deletion. A pod that still has time to end is kept.
fn is_finished(object: &Value) -> bool {
    value::is_deleting(object)
        && value::finalizers(object).is_empty()
        && value::spec_finalizers(object).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}
