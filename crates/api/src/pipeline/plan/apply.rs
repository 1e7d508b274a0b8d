//! An object as somebody wants it, made or merged into the one that exists.

use keelson_types::status::Status;
use serde_json::Value;

use super::{Managing, Plan, Planner};
use crate::managed;
use crate::patch;
use crate::pipeline::decode;
use crate::pipeline::request::{Subresource, Target};
use crate::value;

/// Where kubectl keeps the configuration that was applied last; `apply` shares it, so that the two take turns well.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Planner<'_> {
    /// Merges what a manager wants into the object, or makes one of it.
    pub(super) fn server_side_apply(
        &self,
        target: &Target,
        config: &Value,
        force: bool,
        warnings: &[String],
    ) -> Result<Plan, Status> {
        let kind = target.kind;
        let apply = |live: Option<&Value>| {
            self.as_writer(target, |writer| managed::apply(kind, live, config.clone(), force, writer))
        };
        let found = match self.cached(kind, &target.namespace, &target.name) {
            Ok(found) => found,
            Err(missing) if target.subresource != Subresource::None => return Err(missing),
            Err(_) => {
                let uid = value::metadata_text(config, "uid");
                if !uid.is_empty() {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    );
                    return Err(Status::conflict(kind.group, kind.plural, &target.name, &why));
                }
                return self.create(target, apply(None)?, Managing::Applied, warnings.to_vec());
            }
        };
        let live = found.value().map_err(Status::internal)?;
        let new = apply(Some(&live))?;
        self.succeed(target, &found, new, Managing::Applied, warnings.to_vec())
    }

    /// Creates the object, or merges it into the one that exists.
    pub(super) fn apply(&self, target: &Target, object: &Value, warnings: &[String]) -> Result<Plan, Status> {
        let modified = with_last_applied(object)?;
        let Ok(found) = self.cached(target.kind, &target.namespace, &target.name) else {
            return self.create(target, modified, Managing::Track, warnings.to_vec());
        };
        let old = found.value().map_err(Status::internal)?;
        let original = old["metadata"]["annotations"][LAST_APPLIED].as_str().map(serde_json::from_str::<Value>);
        let original = original.transpose().map_err(|error| {
            Status::bad_request(format!("the annotation {LAST_APPLIED} of the object is not JSON: {error}"))
        })?;
        let merged = patch::three_way(original.as_ref(), &modified, old, target.kind)?;
        let (new, _) = decode::patched(target, merged, b"", self.options.field_validation)?;
        self.succeed(target, &found, new, Managing::Track, warnings.to_vec())
    }
}

/// The configuration with itself in its annotation, text for text as kubectl writes it.
fn with_last_applied(object: &Value) -> Result<Value, Status> {
    let mut plain = object.clone();
    for field in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"] {
        value::remove_metadata(&mut plain, field);
    }
    if let Some(fields) = plain.as_object_mut() {
        fields.remove("status");
    }
    let mut modified = plain.clone();
    if let Some(annotations) = value::map(&mut plain["metadata"], "annotations") {
        annotations.remove(LAST_APPLIED);
    }
    let mut text = serde_json::to_string(&plain).map_err(Status::internal)?;
    text.push('\n');
    if let Some(annotations) = value::map(&mut modified["metadata"], "annotations") {
        annotations.insert(LAST_APPLIED.to_owned(), text.into());
    }
    // A resourceVersion in the file is a condition, not configuration.
    if let Some(version) = object["metadata"].get("resourceVersion") {
        value::set_metadata(&mut modified, "resourceVersion", version.clone());
    }
    Ok(modified)
}
