//! Valid inputs that the tree has already, for the seeds of targets.

use serde_json::{Value, json};

/// What `make up` applies.
pub const MANIFEST: &str = include_str!("../../../cluster/manifests/guestbook.yaml");

/// A minimal object of every kind that is part of the program.
///
/// # Panics
/// When the table of examples is none.
#[must_use]
pub fn objects() -> Vec<Value> {
    let examples: Value =
        serde_json::from_str(include_str!("../../api/tests/rest/kinds.json")).expect("the examples are JSON");
    let examples = examples.as_object().expect("the examples are a map");
    examples
        .iter()
        .map(|(name, example)| {
            let (api_version, kind) = name.split_once(' ').expect("a version and a kind");
            let mut object = example["object"].clone();
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
            let name = example["name"].as_str().unwrap_or("a");
            object["metadata"] = json!({"name": name, "labels": {"app": "x"}, "annotations": {"b": "y"}});
            object
        })
        .collect()
}
