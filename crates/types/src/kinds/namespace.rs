//! Namespace: a scope for names, deleted with everything in it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use crate::json::{child, set};
use crate::kind::{Behaviour, Kind, Served};
use crate::merge::{Rules, by};
use crate::meta;
use crate::names;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Namespace",
    list_kind: "NamespaceList",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    status: true,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[Column::NAME, Column::string("Status", "The status of the namespace"), Column::AGE],
    selectable_fields: &[("status.phase", "")],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        default,
        prepare_create,
        prepare_update,
        validate_name: names::dns1123_label,
        cells,
        ..Behaviour::of::<Namespace>()
    },
};

/// Every namespace can be selected by its name.
fn default(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if name.is_string()
        && let Some(labels) = child(object, "metadata").and_then(|metadata| child(metadata, "labels"))
    {
        set(labels, "kubernetes.io/metadata.name", name);
    }
}

/// The finalizer makes the namespace wait, when it is deleted, until it is empty.
fn prepare_create(object: &mut Value) {
    set(object, "spec", json!({"finalizers": ["kubernetes"]}));
    set(object, "status", json!({"phase": "Active"}));
}

/// Only the finalize subresource changes the finalizers of the spec.
fn prepare_update(new: &mut Value, old: &Value) {
    meta::keep(new, old, "spec");
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), object["status"]["phase"].clone(), table::object_age(object, now)]
}
