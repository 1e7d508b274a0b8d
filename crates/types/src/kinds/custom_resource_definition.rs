//! CustomResourceDefinition: a kind that users define.
//!
//! What a schema may say is checked where schemas are read, in the API; here is everything else.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::json::{child, default_text, items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};

mod validation;

/// What a definition gets that is deleted; removed when all objects of the kind are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub static KIND: Kind = Kind {
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    status: true,
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        // An empty list may be what a field is by default.
        verbatim: &["default", "enum", "example"],
        default,
        prepare_create: keep_stored_version,
        prepare_update,
        validate: validation::validate,
        validate_update: validation::validate_update,
        ..Behaviour::of::<CustomResourceDefinition>()
    },
    ..Kind::cluster::<CustomResourceDefinition>("customresourcedefinition")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    if let Some(conversion) = child(spec, "conversion") {
        default_text(conversion, "strategy", "None");
    }
    let Some(names) = child(spec, "names") else { return };
    let kind = text(&names["kind"]).to_owned();
    if !kind.is_empty() {
        default_text(names, "singular", &kind.to_lowercase());
        default_text(names, "listKind", &format!("{kind}List"));
    }
}

fn prepare_update(new: &mut Value, _: &Value) {
    keep_stored_version(new);
}

/// Objects may be stored in the version that is stored now, until somebody says that none is any more.
fn keep_stored_version(object: &mut Value) {
    let storage = items(&object["spec"]["versions"]).find(|(_, version)| version["storage"] == true);
    let Some(name) = storage.map(|(_, version)| version["name"].clone()).filter(Value::is_string) else { return };
    let Some(status) = child(object, "status").and_then(Value::as_object_mut) else { return };
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(stored) = stored.as_array_mut()
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}

/// Whether a condition of the status is `True`.
pub fn is_true(object: &Value, condition: &str) -> bool {
    items(&object["status"]["conditions"]).any(|(_, found)| found["type"] == condition && found["status"] == "True")
}
