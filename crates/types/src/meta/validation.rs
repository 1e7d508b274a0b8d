//! What Kubernetes demands of the metadata of every object.

use serde_json::Value;

use super::{check_name, immutable};
use crate::field::{Error, Path};
use crate::names;

/// Keys and values of all annotations together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

pub(crate) fn validate(
    object: &Value,
    namespaced: bool,
    validate_name: fn(&str) -> Vec<String>,
    errors: &mut Vec<Error>,
) {
    let metadata = &object["metadata"];
    let path = Path::new("metadata");
    if let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()) {
        // A prefix may end in a hyphen, because more follows.
        let whole = format!("{}a", prefix.trim_end_matches('-'));
        let complaints = validate_name(&whole);
        errors.extend(complaints.into_iter().map(|detail| Error::invalid(&path.child("generateName"), prefix, detail)));
    }
    match metadata["name"].as_str().filter(|name| !name.is_empty()) {
        None => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
        Some(name) => check_name(&path.child("name"), name, validate_name, errors),
    }
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(Error::required(&path.child("namespace"), "")),
        (true, false) => check_name(&path.child("namespace"), namespace, names::dns1123_label, errors),
        (false, false) => errors.push(Error::forbidden(&path.child("namespace"), "not allowed on this type")),
        (false, true) => {}
    }
    validate_labels(&metadata["labels"], &path.child("labels"), errors);
    validate_annotations(&metadata["annotations"], &path.child("annotations"), errors);
    validate_owners(&metadata["ownerReferences"], &path.child("ownerReferences"), errors);
    for (index, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let finalizers = path.child("finalizers");
        check_name(&finalizers.index(index), finalizer.as_str().unwrap_or_default(), names::qualified_name, errors);
    }
}

/// Labels: qualified keys and short values.
pub fn validate_labels(labels: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        check_name(path, key, names::qualified_name, errors);
        let value = value.as_str().unwrap_or_default();
        errors
            .extend(names::label_value(value).into_iter().map(|detail| Error::invalid(&path.key(key), value, detail)));
    }
}

/// Annotations: qualified keys (in any case), and a bound on everything together.
pub fn validate_annotations(annotations: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut bytes = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        let complaints = names::qualified_name(&key.to_ascii_lowercase());
        errors.extend(complaints.into_iter().map(|detail| Error::invalid(path, key.as_str(), detail)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn validate_owners(owners: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut controller: Option<&str> = None;
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        let path = path.index(index);
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                errors.push(Error::invalid(&path.child(field), "", detail));
            }
        }
        if owner["controller"] == Value::Bool(true) {
            let name = owner["name"].as_str().unwrap_or_default();
            if let Some(first) = controller {
                errors.push(Error::invalid(
                    &path.child("controller"),
                    true,
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    ),
                ));
            }
            controller = Some(name);
        }
    }
}

pub(crate) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("metadata");
    let (new, old) = (&new["metadata"], &old["metadata"]);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        immutable(&path.child(field), &new[field], &old[field], errors);
    }
    // What is being deleted may lose finalizers but not gain any.
    if !old["deletionTimestamp"].is_null() {
        let kept = old["finalizers"].as_array();
        let added: Vec<&str> = new["finalizers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|finalizer| !kept.is_some_and(|kept| kept.contains(finalizer)))
            .filter_map(Value::as_str)
            .collect();
        if !added.is_empty() {
            errors.push(Error::forbidden(
                &path.child("finalizers"),
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
                ),
            ));
        }
    }
}
