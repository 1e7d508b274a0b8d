//! What Kubernetes refuses is refused, at the same field and for the same cause; what it lets in is let in.

mod refusals {
    pub mod defaults;
    pub mod others;
    pub mod pods;
    pub mod ratchet;
}

use keelson_types::{Kind, registry};
use serde_json::{Value, json};

/// The cause of each refusal of a new object, with its field: `FieldValueInvalid spec.replicas`.
fn refused(group: &str, plural: &str, object: Value) -> Vec<String> {
    let kind = kind(group, plural);
    let object = made(kind, object);
    kind.validate_create(&object).iter().map(|error| format!("{} {}", error.reason.cause(), error.path)).collect()
}

fn kind(group: &str, plural: &str) -> &'static Kind {
    registry::by_resource(group, plural).expect("a kind of that name")
}

/// An object as it comes to be checked when it is created.
fn made(kind: &'static Kind, object: Value) -> Value {
    let decoded = kind.decode_value(object).expect("fields of the right types");
    let mut object = decoded.object;
    let metadata = object["metadata"].as_object_mut();
    if metadata.is_none() {
        object["metadata"] = json!({});
    }
    for (field, value) in [("name", "x"), ("namespace", "default"), ("uid", "0f4e6a7e-0000-4000-8000-000000000000")] {
        if object["metadata"][field].is_null() && (kind.namespaced || field != "namespace") {
            object["metadata"][field] = json!(value);
        }
    }
    kind.default(&mut object);
    kind.prepare_create(&mut object);
    object
}
