//! Objects within objects: each has its apiVersion, kind and metadata.

use keelson_types::field::{Error, Path};
use keelson_types::{meta, names};
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
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(Error::invalid(&path, "", "must not be empty"));
            }
            Some(Value::String(text)) => {
                let wrong =
                    if name == "kind" { names::dns1035_label(&text.to_lowercase()) } else { group_version(text) };
                if !wrong.is_empty() {
                    errors.push(Error::invalid(&path, text.clone(), wrong.join(",")));
                }
            }
            Some(other) => errors.push(Error::invalid(&path, other.clone(), "must be a string")),
        }
    }
    match fields.get("metadata") {
        None | Some(Value::Null) => {}
        Some(metadata) => object_meta(metadata, &path.child("metadata"), errors),
    }
}

fn group_version(text: &str) -> Vec<String> {
    if text.matches('/').count() > 1 { vec![format!("unexpected GroupVersion string: {text}")] } else { Vec::new() }
}

/// What fields of metadata are.
#[derive(Clone, Copy)]
enum Of {
    Text,
    Number,
    Time,
    Texts,
    Objects,
    /// A map of texts.
    Labels,
    Annotations,
}

const METADATA: [(&str, Of); 15] = [
    ("name", Of::Text),
    ("generateName", Of::Text),
    ("namespace", Of::Text),
    ("selfLink", Of::Text),
    ("uid", Of::Text),
    ("resourceVersion", Of::Text),
    ("generation", Of::Number),
    ("creationTimestamp", Of::Time),
    ("deletionTimestamp", Of::Time),
    ("deletionGracePeriodSeconds", Of::Number),
    ("labels", Of::Labels),
    ("annotations", Of::Annotations),
    ("ownerReferences", Of::Objects),
    ("finalizers", Of::Texts),
    ("managedFields", Of::Objects),
];

fn object_meta(metadata: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !metadata.is_object() {
        errors.push(Error::invalid(path, metadata.clone(), "must be an object"));
        return;
    }
    for (name, of) in METADATA {
        let Some(value) = metadata.get(name).filter(|value| !value.is_null()) else { continue };
        let path = path.child(name);
        let all = |holds: fn(&Value) -> bool| value.as_array().is_some_and(|list| list.iter().all(holds));
        let (fits, what) = match of {
            Of::Text => (value.is_string(), "must be a string"),
            Of::Number => (value.is_i64(), "must be an integer"),
            Of::Time => (is_time(value), "must be a time as in RFC 3339"),
            Of::Texts => (all(Value::is_string), "must be a list of strings"),
            Of::Objects => (all(Value::is_object), "must be a list of objects"),
            Of::Labels | Of::Annotations => {
                (value.as_object().is_some_and(|map| map.values().all(Value::is_string)), "must be a map of strings")
            }
        };
        match of {
            _ if !fits => errors.push(Error::invalid(&path, value.clone(), what)),
            Of::Labels => meta::validate_labels(value, &path, errors),
            Of::Annotations => meta::validate_annotations(value, &path, errors),
            _ => {}
        }
    }
    for name in ["name", "generateName"] {
        let text = metadata[name].as_str().unwrap_or_default();
        if let Some(wrong) = path_segment(text) {
            errors.push(Error::invalid(&path.child(name), text, wrong));
        }
    }
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

/// What keeps a name from being a part of a path.
fn path_segment(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        _ => name.chars().find(|one| matches!(one, '/' | '%')).map(|one| format!("may not contain '{one}'")),
    }
}
