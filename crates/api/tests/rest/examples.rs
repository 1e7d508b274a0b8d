//! `kinds.json`: an example of each kind, something wrong with it and the field at fault, and the columns that Kubernetes prints.

use keelson_types::Kind;
use serde_json::{Value, json};

pub fn examples() -> Value {
    serde_json::from_str(include_str!("kinds.json")).expect("is JSON")
}

pub struct Example {
    pub kind: &'static Kind,
    /// Of the objects' collection.
    pub path: String,
    pub name: String,
    pub object: Value,
    bad: Value,
    pub field: String,
    pub columns: Value,
}

impl Example {
    pub fn of(kind: &'static Kind, all: &Value) -> Example {
        let example = &all[format!("{} {}", kind.api_version(), kind.kind)];
        assert!(example.is_object(), "{kind:?} has no example in kinds.json");
        let name = example["name"].as_str().unwrap_or("example").to_owned();
        let mut object = example["object"].clone();
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        object["metadata"] = json!({"name": name});
        let base = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
        let namespace = if kind.namespaced { "namespaces/default/" } else { "" };
        Example {
            kind,
            path: format!("{base}/{}/{namespace}{}", kind.version, kind.plural),
            name,
            object,
            bad: example["bad"].clone(),
            field: example["field"].as_str().expect("names a field").to_owned(),
            columns: example["columns"].clone(),
        }
    }

    /// The example with something wrong.
    pub fn wrong(&self) -> Value {
        let mut object = self.object.clone();
        json_patch::merge(&mut object, &self.bad);
        object
    }
}
