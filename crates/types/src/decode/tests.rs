use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::registry;

fn decode(name: &str, json: &str) -> Result<Decoded, field::Error> {
    registry::by_name(name).expect("a kind").decode(json.as_bytes())
}

#[test]
fn unknown_fields_are_named_and_dropped() {
    let text =
        r#"{"spec": {"containers": [{"name": "a", "imag": "x"}, {"foo": 1, "name": "b"}], "bar": {}}, "baz": 1}"#;
    let decoded = decode("pod", text).expect("decodes");
    assert_eq!(decoded.object, json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}));
    let mut unknown = decoded.unknown_fields.clone();
    unknown.sort();
    assert_eq!(unknown, ["baz", "spec.bar", "spec.containers[0].imag", "spec.containers[1].foo"]);
    let text = r#"{"spec": {"containers": [{"imag": "x"}]}}"#;
    assert_eq!(
        decode("pod", text).expect("decodes").strict_error().as_deref(),
        Some("strict decoding error: unknown field \"spec.containers[0].imag\"")
    );
}

#[test]
fn duplicate_keys_are_named() {
    let decoded = decode("cm", r#"{"metadata": {"name": "a", "name": "b"}, "data": {"k": "1", "k": "2"}}"#);
    let decoded = decoded.expect("decodes");
    assert_eq!(decoded.object["metadata"]["name"], "b");
    assert_eq!(decoded.duplicate_fields, ["metadata.name", "data.k"]);
    assert_eq!(
        decoded.strict_error().as_deref(),
        Some("strict decoding error: duplicate field \"metadata.name\", duplicate field \"data.k\"")
    );
}

#[test]
fn wrong_types_are_told_with_their_path() {
    for (name, text, path) in [
        ("deploy", r#"{"spec": {"replicas": "3"}}"#, "spec.replicas"),
        ("pod", r#"{"spec": {"containers": [{"name": 5}]}}"#, "spec.containers[0].name"),
        ("pod", r#"{"spec": {"containers": {}}}"#, "spec.containers"),
        ("pod", r#"{"metadata": {"labels": {"a": 1}}}"#, "metadata.labels.a"),
        ("secret", r#"{"data": {"k": "not base64!"}}"#, "data.k"),
        ("pod", r#"{"metadata": {"creationTimestamp": "yesterday"}}"#, "metadata.creationTimestamp"),
    ] {
        let error = decode(name, text).expect_err("a wrong type");
        assert_eq!(error.path, path, "{error}");
        assert_eq!(error.reason, field::Reason::TypeInvalid);
    }
    let said = decode("deploy", r#"{"spec": {"replicas": "3"}}"#).expect_err("a wrong type").to_string();
    assert_eq!(said, "spec.replicas: Invalid value: must be a 32-bit integer, not the text \"3\"");
}

#[test]
fn what_is_no_object_is_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in ["", "{", "[]", "5", "null", "{\"a\": 1} x", "{\"metadata\": {\"name\": \"a\"", deep.as_str()] {
        assert!(decode("pod", text).is_err(), "{text:.20}");
    }
}

#[test]
fn nulls_empty_lists_and_numbers_for_quantities_become_what_kubernetes_keeps() {
    let text = r#"{"metadata": {"creationTimestamp": null}, "spec": {"nodeName": null, "volumes": [],
        "containers": [{"name": "a", "args": [], "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}}]}}"#;
    assert_eq!(
        decode("pod", text).expect("decodes").object,
        json!({"metadata": {}, "spec": {"containers":
            [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}})
    );
}

#[test]
fn what_a_schema_gives_by_default_may_be_empty() {
    let schema = json!({"type": "object", "properties": {
        "list": {"type": "array", "default": [], "required": null, "items": {"type": "string", "enum": []}},
        "none": {"type": "string", "nullable": true, "default": null},
        "map": {"type": "object", "default": {"within": [], "nothing": null}},
    }});
    let text = json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    let decoded = decode("crd", &text.to_string()).expect("decodes");
    assert_eq!(decoded.strict_error(), None);
    let mut kept = schema;
    kept["properties"]["list"].as_object_mut().expect("a map").remove("required");
    assert_eq!(decoded.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kept);
}

proptest! {
    #[test]
    fn what_was_decoded_decodes_to_itself(name in "[a-z]{1,8}", replicas in 0..9, label in "[a-z]{0,4}") {
        let object = json!({"metadata": {"name": name, "labels": {"l": label}}, "spec": {"replicas": replicas}});
        let once = decode("deploy", &object.to_string()).expect("decodes");
        prop_assert_eq!(&once.object, &object);
        prop_assert!(once.strict_error().is_none());
    }
}

/// `levels` objects, each in the next.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"a": inner}))
}

#[test]
fn nothing_is_decoded_that_could_not_be_read_again() {
    assert_eq!(depth::check(&nested(DEPTH_MAX)), Ok(()));
    assert!(depth::check(&nested(DEPTH_MAX + 1)).is_err());
    assert!(depth::check(&json!([nested(DEPTH_MAX)])).is_err());
    assert!(depth::check(&json!({"metadata": {"labels": nested(DEPTH_MAX)}})).is_err());
}

#[test]
fn what_is_noted_of_the_deepest_fields_does_not_count_for_them() {
    let noted = |levels: usize| {
        let mut object = nested(DEPTH_MAX);
        // The entries are on the third level.
        object["metadata"] = json!({"managedFields": [{"fieldsV1": nested(levels - 4)}]});
        object
    };
    assert_eq!(depth(&noted(MANAGED_DEPTH_MAX)), MANAGED_DEPTH_MAX);
    assert_eq!(depth::check(&noted(MANAGED_DEPTH_MAX)), Ok(()));
    assert!(depth::check(&noted(MANAGED_DEPTH_MAX + 1)).is_err());
}
