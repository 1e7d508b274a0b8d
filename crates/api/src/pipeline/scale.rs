//! The scale subresource: an autoscaling/v1 Scale as a view of an object's replicas.

use bytes::Bytes;
use keelson_types::field;
use keelson_types::selector::LabelSelector;
use keelson_types::status::Status;
use serde_json::{Value, json};

/// The Scale of an object.
///
/// # Errors
/// Internal, should it not be encodable.
pub fn of(object: &Value) -> Result<Bytes, Status> {
    serde_json::to_vec(&value(object)).map(Bytes::from).map_err(Status::internal)
}

pub fn value(object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
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
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": { "replicas": object["spec"]["replicas"].as_i64().unwrap_or(0) },
        "status": status,
    })
}

/// The object with what a Scale says: its replicas, and its UID and resourceVersion as guards.
///
/// # Errors
/// BadRequest for what is no Scale, Invalid for fewer replicas than none.
pub fn set(object: &Value, scale: &Value) -> Result<Value, Status> {
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
    object["spec"]["replicas"] = replicas.into();
    Ok(object)
}
