//! Objects within objects: each has its apiVersion, kind and metadata.

use keelson_types::field::{Error, Path};
use keelson_types::meta;
use serde_json::Value;

use crate::node::Node;

/// What is wrong with the objects within `value`, which is at `path` and is not one itself unless its place says so.
pub(crate) fn check(value: &Value, node: &Node, path: &Path<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    if node.embedded {
        object(value, path, &mut errors);
    }
    within(value, node, path, &mut errors);
    errors
}

/// The same for what is within a value, but not the value itself.
pub(crate) fn within(value: &Value, node: &Node, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut visit = |value: &Value, node: &Node, path: &Path<'_>| {
        if node.embedded {
            object(value, path, errors);
        }
        within(value, node, path, errors);
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(field) = node.properties.get(name) {
                    visit(value, field, &path.child(name));
                } else if let Some(field) = node.additional.node() {
                    visit(value, field, &path.key(name));
                }
            }
        }
        Value::Array(elements) => {
            let Some(item) = node.items.as_deref() else { return };
            for (index, element) in elements.iter().enumerate() {
                visit(element, item, &path.index(index));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn object(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    // Another type, and null, are told by the other checks.
    let Some(fields) = value.as_object() else { return };
    for name in ["apiVersion", "kind"] {
        let path = path.child(name);
        match fields.get(name) {
            None => errors.push(Error::required(&path, "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => errors.push(Error::required(&path, "must not be empty")),
            Some(Value::String(_)) => {}
            Some(other) => errors.push(Error::invalid(&path, other.clone(), "must be a string")),
        }
    }
    let Some(metadata) = fields.get("metadata") else { return };
    let path = path.child("metadata");
    if !metadata.is_object() {
        errors.push(Error::invalid(&path, metadata.clone(), "must be an object"));
        return;
    }
    for name in ["labels", "annotations"] {
        let Some(map) = metadata.get(name).filter(|map| !map.is_null()) else { continue };
        let path = path.child(name);
        if !map.as_object().is_some_and(|map| map.values().all(Value::is_string)) {
            errors.push(Error::invalid(&path, map.clone(), "must be a map of strings"));
        } else if name == "labels" {
            meta::validate_labels(map, &path, errors);
        } else {
            meta::validate_annotations(map, &path, errors);
        }
    }
}
