//! The scale subresource: an autoscaling/v1 Scale as a view of an object's replicas.

use bytes::Bytes;
use keelson_types::custom::Scale;
use keelson_types::selector::LabelSelector;
use keelson_types::status::Status;
use keelson_types::{Kind, field};
use serde_json::{Value, json};

/// The Scale of an object.
///
/// # Errors
/// Internal, should it not be encodable.
pub fn of(kind: &Kind, object: &Value) -> Result<Bytes, Status> {
    serde_json::to_vec(&value(kind, object)).map(Bytes::from).map_err(Status::internal)
}

pub fn value(kind: &Kind, object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    if let Some(paths) = custom(kind) {
        let number = |path: &str| at(object, path).as_i64().unwrap_or(0);
        let mut status = json!({ "replicas": number(&paths.status_replicas) });
        if let Some(selector) = at(object, &paths.label_selector).as_str() {
            status["selector"] = selector.into();
        }
        let spec = json!({ "replicas": number(&paths.spec_replicas) });
        return scale(metadata, spec, status);
    }
    let mut status = json!({ "replicas": object["status"]["replicas"].as_i64().unwrap_or(0) });
    let selector = &object["spec"]["selector"];
    // A ReplicationController selects by labels alone.
    let by_labels = selector.as_object().is_some_and(|map| !map.is_empty() && map.values().all(Value::is_string));
    let selector = if by_labels { json!({ "matchLabels": selector }) } else { selector.clone() };
    let selector = serde_json::from_value(selector).ok();
    if let Ok(selector) = LabelSelector::from_object(selector.as_ref()) {
        status["selector"] = selector.to_string().into();
    }
    scale(metadata, json!({ "replicas": object["spec"]["replicas"].as_i64().unwrap_or(0) }), status)
}

#[expect(clippy::needless_pass_by_value, reason = "they become parts of what is made")]
fn scale(metadata: Value, spec: Value, status: Value) -> Value {
    json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status })
}

/// Where the replicas of a kind are that users define.
fn custom(kind: &Kind) -> Option<&'static Scale> {
    kind.definition().and_then(|definition| definition.scale())
}

/// The value at a path of plain fields; null when there is none.
fn at<'v>(object: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(object, |value, field| &value[field])
}

/// Sets the value at a path of plain fields, through maps that are made where there is nothing.
fn put(object: &mut Value, path: &str, new: Value) -> Option<()> {
    let mut value = object;
    for field in path.split('.') {
        if value.is_null() {
            *value = json!({});
        }
        value = value.as_object_mut()?.entry(field).or_insert(Value::Null);
    }
    *value = new;
    Some(())
}

/// The object with what a Scale says: its replicas, and its UID and resourceVersion as guards.
///
/// # Errors
/// BadRequest for what is no Scale, Invalid for fewer replicas than none.
pub fn set(kind: &Kind, object: &Value, scale: &Value) -> Result<Value, Status> {
    let refuse = |why: &str| Err(Status::cannot_be_handled("Scale", "v1", why));
    if let Some(kind) = scale["kind"].as_str()
        && kind != "Scale"
    {
        return refuse(&format!("unexpected kind {kind:?}"));
    }
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        other => match other.as_i64().map(i32::try_from) {
            Some(Ok(number)) => number,
            _ => return refuse(&format!("spec.replicas: Invalid value: {other}: must be an integer of 32 bits")),
        },
    };
    if replicas < 0 {
        let path = field::Path::new("spec");
        let why = "must be greater than or equal to 0";
        let name = crate::value::metadata_text(object, "name");
        let error = field::Error::invalid(&path.child("replicas"), replicas, why);
        return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
    }
    let mut object = object.clone();
    for field in ["uid", "resourceVersion"] {
        if let Some(guard) = scale["metadata"].get(field).filter(|guard| guard.is_string()) {
            object["metadata"][field] = guard.clone();
        }
    }
    let path = custom(kind).map_or("spec.replicas", |paths| paths.spec_replicas.as_str());
    match put(&mut object, path, replicas.into()) {
        Some(()) => Ok(object),
        None => refuse(&format!("{path}: there is no place for replicas in the object")),
    }
}
