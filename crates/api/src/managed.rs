//! Who manages which fields: `metadata.managedFields`, and server-side apply on it.
//!
//! After Kubernetes' structured merge (its behaviour is the specification). A *manager* is a name, what it does (apply or
//! update) and the subresource it does it by. An apply states everything that its manager wants: its fields are merged into the
//! object, those that it stated before and states no more go, unless another manager has them, and a field that another manager
//! has with another value is a conflict. An update takes the fields that it changed.
//!
//! ```text
//! managed.rs           one write: the object and its managers, before and after
//! managed/fields.rs    sets of fields, as FieldsV1 writes them
//! managed/shape.rs     how a value takes part: as a whole, by fields, as a set, by keys
//! managed/walk.rs      what a value has, what differs between two, what they are merged, what goes
//! managed/managers.rs  the entries of managedFields
//! managed/conflict.rs  what an apply is refused with
//! ```
//!
//! Pure: values in, values out; the time is an argument. Nothing here knows a kind but by the table of types.
//!
//! **Invariant**: an apply that changes neither the object nor what its manager has leaves everything as it is, its time too.

mod conflict;
mod fields;
mod managers;
mod shape;
mod walk;

#[cfg(test)]
mod tests;

use keelson_types::Kind;
use keelson_types::status::Status;
use serde_json::Value;

use fields::Fields;
use managers::{Entry, Managers, Operation};
use shape::Shape;

/// What the system itself decides about every object, so that nobody manages it.
const UNMANAGED: [&[&str]; 13] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:deletionTimestamp"],
    // That there is one, empty at first; what is in it is managed.
    &["f:status"],
];
/// Whose fields are taken by the first apply to an object that nobody managed.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// kubectl's name in server-side apply, and where it left what it applied on the client's side.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Kinds that are written all the time, by one writer each, and of which nobody asks who did. They are tracked once somebody
/// applies them.
const UNTRACKED: [&str; 2] = ["events", "leases"];

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Empty when nobody says.
    pub manager: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// RFC 3339.
    pub now: &'a str,
}

/// The managedFields of a new object; None when they are not kept.
pub fn created(kind: &Kind, new: &Value, writer: Writer<'_>) -> Option<Value> {
    if writer.manager.is_empty() || !kind.is_custom() && UNTRACKED.contains(&kind.plural) {
        return None;
    }
    let mut managers = Managers::default();
    managers.update(None, new, shape_of(kind)?, &kind.api_version(), writer);
    managers.encode()
}

/// The managedFields after an update from `old` to `new`; None when there are none.
///
/// A client may bring its own in `new`, to hand fields over, or a single empty entry to have them forgotten.
///
/// # Errors
/// When what the client brings is none.
pub fn updated(kind: &Kind, old: &Value, new: &Value, writer: Writer<'_>) -> Result<Option<Value>, Status> {
    let kept = &old["metadata"]["managedFields"];
    let brought = &new["metadata"]["managedFields"];
    let mut managers = match brought {
        Value::Array(entries) if writer.subresource.is_empty() && !entries.is_empty() => {
            if entries.iter().all(|entry| entry.as_object().is_some_and(serde_json::Map::is_empty)) {
                return Ok(None);
            }
            Managers::decode(brought).map_err(|why| Status::bad_request(format!("metadata.managedFields: {why}")))?
        }
        // What is stored and cannot be read is forgotten rather than in everybody's way.
        _ => Managers::decode(kept).unwrap_or_default(),
    };
    let Some(shape) = shape_of(kind) else { return Ok(None) };
    if managers.is_empty() {
        return Ok(None);
    }
    managers.update(Some(old), new, shape, &kind.api_version(), writer);
    Ok(managers.encode())
}

/// Applies `config` to `live`; to nothing when there is no such object yet. What comes of it is merged, with its managedFields;
/// the defaults and checks of its kind come next.
///
/// # Errors
/// Conflict with a cause for each field of another manager, unless `force`; BadRequest for lists that state an element twice or
/// without its keys, and for a config that brings managedFields.
pub fn apply(
    kind: &Kind,
    live: Option<&Value>,
    mut config: Value,
    force: bool,
    writer: Writer<'_>,
) -> Result<Value, Status> {
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let shape = shape_of(kind).ok_or_else(|| Status::not_implemented(format!("server-side apply to {}", kind.kind)))?;
    only_own_part(kind, &mut config, writer.subresource);
    let applied = walk::owned(&config, shape).map_err(|why| {
        let name = crate::value::metadata_text(&config, "name");
        Status::bad_request(format!("failed to create typed patch object ({name}; {}): {why}", kind.kind))
    })?;
    let applied = applied.without(&unmanaged());
    let mut managers =
        live.and_then(|live| Managers::decode(&live["metadata"]["managedFields"]).ok()).unwrap_or_default();
    let Some(live) = live else {
        managers.put(own_entry(kind, applied, writer));
        let mut object = config;
        put_managers(&mut object, &managers);
        return Ok(object);
    };
    if managers.is_empty() {
        managers.put(before_first_apply(kind, live, shape, writer));
    }
    let before = managers.clone();
    let last = managers.take(writer.manager, Operation::Apply, writer.subresource);
    let mut merged = walk::merge(Some(live), &config, shape);
    if let Some(last) = &last {
        let kept = applied.clone().with(&managers.all());
        let gone = last.fields.members_and_structs().without(&kept.members_and_structs()).without(&unmanaged());
        walk::prune(&mut merged, shape, &gone);
    }
    let changes = walk::compare(Some(live), &merged, shape).without(&unmanaged());
    let conflicts = managers.holding(&changes.taken());
    if !force && !conflicts.is_empty() {
        let conflicts = conflict::beside(conflicts, &left_by_client_side_apply(live, shape, writer.manager));
        if !conflicts.is_empty() {
            return Err(conflict::status(&conflicts));
        }
    }
    managers.release(&changes);
    let time = last.as_ref().and_then(|last| last.time.clone());
    let mut own = own_entry(kind, applied, writer);
    let unchanged = merged == *live && last.is_some_and(|last| last.fields == own.fields);
    if unchanged {
        own.time = time;
    }
    managers.put(own);
    let mut object = if unchanged { live.clone() } else { merged };
    put_managers(&mut object, if unchanged { &before } else { &managers });
    Ok(object)
}

fn shape_of(kind: &Kind) -> Option<Shape> {
    match kind.definition() {
        Some(definition) => Some(Shape::Custom(definition.schema())),
        None => kind.message().map(Shape::Fields),
    }
}

fn unmanaged() -> Fields {
    let mut fields = Fields::default();
    for path in UNMANAGED {
        fields.insert(path);
    }
    fields
}

fn own_entry(kind: &Kind, fields: Fields, writer: Writer<'_>) -> Entry {
    Entry {
        manager: writer.manager.to_owned(),
        operation: Operation::Apply,
        api_version: kind.api_version(),
        subresource: writer.subresource.to_owned(),
        time: Some(writer.now.to_owned()),
        fields,
    }
}

fn before_first_apply(kind: &Kind, live: &Value, shape: Shape, writer: Writer<'_>) -> Entry {
    Entry {
        manager: BEFORE_FIRST_APPLY.to_owned(),
        operation: Operation::Update,
        api_version: kind.api_version(),
        subresource: String::new(),
        time: Some(writer.now.to_owned()),
        fields: walk::compare(None, live, shape).without(&unmanaged()).taken(),
    }
}

/// Leaves in a config only what may be applied by the path: not the status by the object's own, nothing but it by the other.
fn only_own_part(kind: &Kind, config: &mut Value, subresource: &str) {
    let Some(fields) = config.as_object_mut() else { return };
    if let "ephemeralcontainers" | "resize" = subresource {
        fields.remove("status");
        only_name(fields);
        if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
            only_part_of_pod(spec, subresource);
        }
    } else if subresource == "status" {
        fields.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        only_name(fields);
    } else if kind.status {
        fields.remove("status");
    }
}

fn only_name(fields: &mut serde_json::Map<String, Value>) {
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
    }
}

/// What a pod's own subresources cover of its specification.
fn only_part_of_pod(spec: &mut serde_json::Map<String, Value>, subresource: &str) {
    if subresource == "ephemeralcontainers" {
        spec.retain(|field, _| field == "ephemeralContainers");
        return;
    }
    spec.retain(|field, _| matches!(field.as_str(), "containers" | "initContainers"));
    for container in spec.values_mut().filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        container.retain(|field, _| matches!(field.as_str(), "name" | "resources" | "resizePolicy"));
    }
}

/// The fields that kubectl applied on the client's side before: it may take them over from whoever it was then.
fn left_by_client_side_apply(live: &Value, shape: Shape, manager: &str) -> Fields {
    if manager != KUBECTL {
        return Fields::default();
    }
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let config = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    config.and_then(|config| walk::owned(&config, shape).ok()).unwrap_or_default()
}

fn put_managers(object: &mut Value, managers: &Managers) {
    match managers.encode() {
        Some(entries) => crate::value::set_metadata(object, "managedFields", entries),
        None => {
            crate::value::remove_metadata(object, "managedFields");
        }
    }
}
