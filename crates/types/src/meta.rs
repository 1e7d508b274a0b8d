//! Metadata: reading it, keeping it consistent over updates, and validating it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Map, Value};

use crate::Object;
use crate::field::{self, Path};

mod validation;

pub(crate) use validation::{validate, validate_update};
pub use validation::{validate_annotations, validate_labels};

/// `namespace/name`, or the name alone when there is no namespace: the key of caches and work queues.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Key { namespace: namespace.into(), name: name.into() }
    }

    pub fn of<K: Object>(object: &K) -> Self {
        Key::new(namespace(object), name(object))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// Empty when the object has none yet.
pub fn name<K: Object>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

/// Empty for cluster-scoped objects.
pub fn namespace<K: Object>(object: &K) -> &str {
    object.metadata().namespace.as_deref().unwrap_or_default()
}

/// Empty before the object is created.
pub fn uid<K: Object>(object: &K) -> &str {
    object.metadata().uid.as_deref().unwrap_or_default()
}

/// Empty when the label is absent.
pub fn label<'a, K: Object>(object: &'a K, key: &str) -> &'a str {
    object.metadata().labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str)
}

/// `None` when the annotation is absent.
pub fn annotation<'a, K: Object>(object: &'a K, key: &str) -> Option<&'a str> {
    object.metadata().annotations.as_ref().and_then(|annotations| annotations.get(key)).map(String::as_str)
}

pub fn is_deleting<K: Object>(object: &K) -> bool {
    object.metadata().deletion_timestamp.is_some()
}

/// The reference that makes `owner` the controller of another object.
pub fn controller_reference<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: name(owner).to_owned(),
        uid: uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The owner that controls the object, if one does.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_ref()?.iter().find(|reference| reference.controller == Some(true))
}

/// Whether `owner` (by UID) controls the object.
pub fn is_controlled_by<K: Object>(metadata: &ObjectMeta, owner: &K) -> bool {
    controller_of(metadata).is_some_and(|reference| !reference.uid.is_empty() && reference.uid == uid(owner))
}

/// The resourceVersion as a number; 0 when absent or no number.
pub fn revision<K: Object>(object: &K) -> i64 {
    object.metadata().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A moment as Kubernetes writes it: RFC 3339 in whole seconds.
pub fn time_text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment in whole seconds, for typed objects: a fraction would not survive Kubernetes clients.
pub fn whole_seconds(moment: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    let seconds = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(seconds)
}

pub(crate) fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let fields = object.as_object_mut()?;
    fields.entry("metadata").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert(field.to_owned(), value.into());
    }
}

pub(crate) fn set_generation(object: &mut Value, generation: Option<i64>) {
    if let Some(metadata) = metadata_mut(object) {
        match generation {
            Some(generation) => metadata.insert("generation".to_owned(), generation.into()),
            None => metadata.remove("generation"),
        };
    }
}

/// Finalizers that are no domain's own may mean something else to somebody else; of those that are new.
pub(crate) fn warn_of_finalizers(object: &Value, old: Option<&Value>, warnings: &mut Vec<String>) {
    /// Those of the system.
    const KNOWN: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
    let of = |object: &'_ Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let before = old.map(of).unwrap_or_default();
    for finalizer in of(object).iter().filter(|finalizer| !before.contains(finalizer)) {
        let name = finalizer.as_str().unwrap_or_default();
        if !name.contains('/') && !KNOWN.contains(&name) {
            warnings.push(format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental \
                 conflicts with other finalizer writers"
            ));
        }
    }
}

pub(crate) fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or(0)
}

pub(crate) fn resource_version(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}

/// Gives `new` the old object's field, or removes it when the old one has none.
pub(crate) fn keep(new: &mut Value, old: &Value, field: &str) {
    if let Some(fields) = new.as_object_mut() {
        match old.get(field) {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.remove(field),
        };
    }
}

/// Whether anything changed that metadata.generation counts; mostly, the status is not.
pub(crate) fn differs_outside_metadata(new: &Value, old: &Value, with_status: bool) -> bool {
    let counted = |object: &Value| -> Vec<(String, Value)> {
        object
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !matches!(key.as_str(), "metadata" | "apiVersion" | "kind"))
            .filter(|(key, _)| with_status || *key != "status")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    counted(new) != counted(old)
}

/// Refuses a change of the field at `path`.
pub(crate) fn immutable(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Vec<field::Error>) {
    if new != old {
        errors.push(field::Error::invalid(path, new.clone(), "field is immutable"));
    }
}

/// Adds an error for each complaint that a check of [`names`] has.
pub(crate) fn check_name(path: &Path<'_>, name: &str, check: fn(&str) -> Vec<String>, errors: &mut Vec<field::Error>) {
    errors.extend(check(name).into_iter().map(|detail| field::Error::invalid(path, name, detail)));
}
