//! Which schemas are refused, in Kubernetes' words.

use keelson_schema::{MAX_DEPTH, MAX_ERRORS, MAX_PLACES, Structural};
use serde_json::{Value, json};

fn refused(schema: &Value) -> Vec<String> {
    let parsed = Structural::parse(schema, "s");
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let metadata = "must not specify anything other than name and generateName, but metadata is implicitly specified";
    let table = [
        (json!({}), "s.type: Required value: must not be empty at the root"),
        (json!({"type": "string"}), "s.type: Invalid value: \"string\": must be object at the root"),
        (
            json!({"type": "object", "additionalProperties": true}),
            "s.additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            object(json!({"a": {}})),
            "s.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            object(json!({"a": {"type": "array", "items": {}}})),
            "s.properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        (object(json!({"a": {"type": "array"}})), "s.properties[a].items: Required value: must be specified"),
        (
            object(json!({"a": {"type": "thing"}})),
            "s.properties[a].type: Unsupported value: \"thing\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \
             \"object\", \"string\"",
        ),
        (
            object(json!({"a": {"type": "string", "anyOf": [{"type": "string"}]}})),
            "s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            object(json!({"a": {"type": "string", "not": {"default": "x"}}})),
            "s.properties[a].not.default: Forbidden: must be undefined to be structural",
        ),
        (
            object(json!({"a": {"type": "string", "oneOf": [{"nullable": true}]}})),
            "s.properties[a].oneOf[0].nullable: Forbidden: must be false to be structural",
        ),
        (
            json!({"type": "object", "allOf": [{"properties": {"a": {"minimum": 1}}}]}),
            "s.properties[a]: Required value: because it is defined in s.allOf[0].properties[a]",
        ),
        (
            object(json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}})),
            &format!("s.properties[metadata]: Forbidden: {metadata}"),
        ),
        (
            object(json!({"kind": {"type": "integer"}})),
            "s.properties[kind].type: Invalid value: \"integer\": must be string",
        ),
        (
            object(json!({"a": {"type": "string", "pattern": "("}})),
            "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: unclosed group",
        ),
        (
            object(json!({"a": {"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}})),
            "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if \
             x-kubernetes-int-or-string is true",
        ),
        (
            object(json!({"a": {"type": "object", "x-kubernetes-embedded-resource": true}})),
            "s.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without \
             x-kubernetes-preserve-unknown-fields",
        ),
        (
            object(
                json!({"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false}}),
            ),
            "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            object(json!({"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}})),
            "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            object(json!({"a": {"type": "string", "$ref": "#/b"}})),
            "s.properties[a].$ref: Forbidden: $ref is not supported",
        ),
        (
            object(json!({"a": {"type": "object", "patternProperties": {"a": {}}}})),
            "s.properties[a].patternProperties: Forbidden: patternProperties is not supported",
        ),
        (json!({"type": "object", "definitions": {"a": {}}}), "s.definitions: Forbidden: definitions is not supported"),
        (json!({"type": "object", "nullable": true}), "s.nullable: Forbidden: nullable cannot be true at the root"),
        (
            object(json!({"a": {"type": "object", "x-kubernetes-preserve-unknown-fields": false}})),
            "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            object(json!({"a": {"type": "string", "x-kubernetes-list-type": "set"}})),
            "s.properties[a].type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified",
        ),
        (
            object(json!({"a": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}})),
            "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            object(json!({"a": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string"}}},
            }})),
            "s.properties[a].items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so it must \
             have a default or be a required property",
        ),
        (
            object(json!({"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}})),
            "s.properties[a].items.x-kubernetes-map-type: Invalid value: \"null\": must be atomic as item of a list with \
             x-kubernetes-list-type=set",
        ),
        (
            object(json!({"a": {"type": "object", "x-kubernetes-map-type": "odd"}})),
            "s.properties[a].x-kubernetes-map-type: Unsupported value: \"odd\": supported values: \"atomic\", \"granular\"",
        ),
        (
            object(json!({"kind": {"type": "string", "default": "A"}})),
            "s.properties[kind].default: Forbidden: must not be set in top-level kind",
        ),
        (object(json!({"a": {"type": 5}})), "s.properties[a].type: Invalid value: 5: must be a string"),
        (json!(7), "s: Invalid value: 7: must be a schema, which is an object"),
    ];
    for (schema, expected) in table {
        assert_eq!(refused(&schema), [expected], "{schema}");
    }
}

#[test]
fn defaults_are_valid_and_pruned() {
    let table = [
        (json!({"type": "integer", "default": 1}), None),
        (
            json!({"type": "integer", "default": "x"}),
            Some("s.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\""),
        ),
        (
            json!({"type": "object", "properties": {"b": {"type": "integer"}}, "default": {"c": 1}}),
            Some("s.properties[a].default: Invalid value: {\"c\":1}: must not have unknown fields"),
        ),
        (
            json!({"type": "object", "properties": {"b": {"type": "integer", "maximum": 1}}, "default": {"b": 2}}),
            Some("s.properties[a].default.b: Invalid value: 2: b in body should be less than or equal to 1"),
        ),
        (
            json!({"type": "integer", "default": 5, "x-kubernetes-validations": [{"rule": "self < 5"}]}),
            Some("s.properties[a].default: Invalid value: 5: failed rule: self < 5"),
        ),
    ];
    for (field, expected) in table {
        let errors = refused(&object(json!({"a": field})));
        assert_eq!(errors.first().map(String::as_str), expected, "{field}");
    }
}

#[test]
fn what_kubernetes_accepts_is_accepted() {
    let accepted = [
        json!({"type": "object"}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        object(json!({"a": {"x-kubernetes-preserve-unknown-fields": true}})),
        object(json!({"a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}})),
        object(json!({"a": {"x-kubernetes-int-or-string": true, "allOf": [
            {"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^[0-9]+%$"},
        ]}})),
        object(json!({"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}})),
        // Kubernetes asks for completeness at the root alone.
        object(json!({"a": {"type": "object", "anyOf": [{"required": ["b"]}, {"properties": {"c": {"minimum": 1}}}]}})),
        object(json!({"a": {"type": "object", "additionalProperties": true}})),
        object(json!({"a": {"type": "string", "unheard": 1, "description": null}})),
    ];
    for schema in accepted {
        assert_eq!(refused(&schema), [""; 0], "{schema}");
    }
}

#[test]
fn schemas_are_bounded_in_depth_and_in_what_is_told_of_them() {
    let mut deep = json!({"type": "string"});
    for _ in 0..MAX_DEPTH {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    let told = refused(&deep);
    assert!(told.len() == 1 && told[0].ends_with("may not be deeper than 64 levels"), "{told:?}");
    assert_eq!(refused(&deep["properties"]["a"]), [""; 0]);
    let many: serde_json::Map<String, Value> = (0..1000).map(|number| (number.to_string(), json!({}))).collect();
    assert_eq!(refused(&json!({"type": "object", "properties": many})).len(), MAX_ERRORS);
}

#[test]
fn places_are_counted() {
    let with = |count: usize| {
        let properties: serde_json::Map<String, Value> =
            (0..count).map(|index| (format!("p{index}"), json!({"type": "string"}))).collect();
        refused(&object(Value::Object(properties)))
    };
    // With the root.
    assert_eq!(with(MAX_PLACES - 1), [""; 0]);
    assert_eq!(with(MAX_PLACES).len(), 1);
    assert!(with(MAX_PLACES)[0].contains("a schema may not have more than 100000 places"));
}

#[test]
fn patterns_are_bounded_together() {
    let with = |count: usize| {
        let pattern = |index: usize| json!({"type": "string", "pattern": format!("^{index}(a{{100}}){{20}}$")});
        let properties = (0..count).map(|index| (format!("p{index}"), pattern(index))).collect();
        refused(&object(Value::Object(properties)))
    };
    assert_eq!(with(5), [""; 0]);
    let errors = with(1000);
    assert!(errors.iter().any(|error| error.contains("are too large together")), "{errors:?}");
}
