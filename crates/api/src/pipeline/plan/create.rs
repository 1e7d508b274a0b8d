//! A new object.

use std::collections::BTreeMap;

use keelson_types::names;
use keelson_types::status::Status;
use serde_json::Value;

use super::{Answer, Guard, Managing, Plan, Planner, Write, encode, stored};
use crate::keys;
use crate::managed;
use crate::pipeline::request::{Outcome, Target};
use crate::{rbac, value};

/// Names tried for one generateName before the caller hears that they are taken.
const GENERATED_NAMES_MAX: usize = 8;

impl Planner<'_> {
    pub(super) fn create(
        &self,
        target: &Target,
        mut object: Value,
        managing: Managing,
        mut warnings: Vec<String>,
    ) -> Result<Plan, Status> {
        let kind = target.kind;
        if !value::metadata_text(&object, "resourceVersion").is_empty() {
            return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let definition_guard = self.admit_defined(target)?;
        self.name(target, &mut object)?;
        let name = value::metadata_text(&object, "name").to_owned();
        let namespace_guard = self.admit_namespace(target, &name)?;
        self.sign(target, &mut object);

        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            value::remove_metadata(&mut object, field);
        }
        value::set_metadata(&mut object, "uid", uuid::Uuid::new_v4().to_string().into());
        value::set_metadata(&mut object, "creationTimestamp", self.now_text());
        kind.default(&mut object);
        kind.prepare_create(&mut object);
        self.admit_create(target, &mut object)?;
        let mut errors = kind.validate_create(&object);
        self.check_definition(kind, &object, None, &mut errors);
        let mut allocations = super::allocate::Changes::default();
        if errors.is_empty() && std::ptr::eq(kind, self.kinds.services) {
            allocations = self.allocate(&mut object, None, &mut errors)?;
        }
        if !errors.is_empty() {
            return Err(Status::invalid(kind.group, kind.kind, &name, &errors));
        }
        self.warn(kind, &object, None, &mut warnings);
        if managing == Managing::Track {
            // Whatever a client brings for an object that does not exist yet is about another one.
            value::remove_metadata(&mut object, "managedFields");
            if let Some(managed) = self.as_writer(target, |writer| managed::created(kind, &object, writer)) {
                value::set_metadata(&mut object, "managedFields", managed);
            }
        }

        let path = keys::path(&target.namespace, &name);
        if self.caches.get(kind, &path).is_some() {
            return Err(Status::already_exists(kind.group, kind.plural, &name));
        }
        let key = keys::object(kind, &path);
        let text = encode(&object)?;
        let mut guards = vec![Guard::absent(key.clone())];
        guards.extend(namespace_guard);
        guards.extend(definition_guard);
        let mut writes =
            BTreeMap::from([(key, Write::Put { value: stored(kind, &object, &text)?, lease: self.lease(kind) })]);
        allocations.add_to(&path, &mut guards, &mut writes);
        let answer = Answer::Stored { value: text, outcome: Outcome::Created };
        Ok(Plan { guards, writes, answer, as_scale: false, warnings })
    }

    /// Who asks for a certificate is who is asking, whatever the request says and by whichever verb it came.
    fn sign(&self, target: &Target, object: &mut Value) {
        if let Some(user) = self.user
            && target.kind.approval
            && let Some(spec) = value::map(object, "spec")
        {
            for field in ["uid", "extra"] {
                spec.remove(field);
            }
            spec.insert("username".to_owned(), user.name.as_str().into());
            spec.insert("groups".to_owned(), rbac::groups(user).collect());
        }
    }

    /// Makes a name of generateName where there is none.
    fn name(&self, target: &Target, object: &mut Value) -> Result<(), Status> {
        let prefix = value::metadata_text(object, "generateName").to_owned();
        if !value::metadata_text(object, "name").is_empty() || prefix.is_empty() {
            return Ok(());
        }
        for _ in 0..GENERATED_NAMES_MAX {
            let name = names::generated(&prefix, rand::random());
            if self.caches.get(target.kind, &keys::path(&target.namespace, &name)).is_none() {
                value::set_metadata(object, "name", name.into());
                return Ok(());
            }
        }
        Err(Status::already_exists(target.kind.group, target.kind.plural, &prefix))
    }
}
