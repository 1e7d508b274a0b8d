//! Small accessors for objects as JSON values.

use serde_json::{Map, Value};

/// A text field of the metadata; empty when absent.
pub fn metadata_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub fn set_metadata(object: &mut Value, field: &str, value: Value) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert(field.to_owned(), value);
    }
}

pub fn remove_metadata(object: &mut Value, field: &str) -> Option<Value> {
    metadata_mut(object)?.remove(field)
}

/// Gives `new` the metadata field that `old` has, or none.
pub fn keep_metadata(new: &mut Value, old: &Value, field: &str) {
    match old["metadata"].get(field) {
        Some(value) => set_metadata(new, field, value.clone()),
        None => {
            remove_metadata(new, field);
        }
    }
}

pub fn finalizers(object: &Value) -> Vec<String> {
    texts(&object["metadata"]["finalizers"])
}

/// The finalizers of a namespace's spec, which the namespace controller removes last.
pub fn spec_finalizers(object: &Value) -> Vec<String> {
    texts(&object["spec"]["finalizers"])
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        remove_metadata(object, "finalizers");
    } else {
        set_metadata(object, "finalizers", finalizers.into());
    }
}

pub fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Drops what a client may send and this server does not keep.
pub fn clean(object: &mut Value) {
    remove_metadata(object, "selfLink");
}

/// The map at `field`, made when it is absent; None when `object` is no map or the field something else.
pub fn map<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let entry = object.as_object_mut()?.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    entry.as_object_mut()
}

fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    map(object, "metadata")
}
