//! What pruning removes and what defaulting sets.

use keelson_schema::Structural;
use serde_json::{Value, json};

fn parse(properties: Value) -> Structural {
    Structural::parse(&json!({"type": "object", "properties": properties}), "s").expect("a schema")
}

#[test]
fn what_is_not_named_is_removed_and_told() {
    let schema = parse(json!({
        "spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "string"}}}},
            "kept": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "inner": {"type": "object", "properties": {"b": {"type": "string"}}},
            }},
            "whole": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        }},
    }));
    let mut object = json!({
        "apiVersion": "v1", "kind": "A", "metadata": {"name": "x", "odd": 1}, "status": {},
        "spec": {
            "a": "x", "z": 1, "list": [{"b": ""}, {"b": "", "c": 1}], "map": {"k": {"b": "", "c": 1}},
            "kept": {"any": {"thing": 1}, "inner": {"b": "", "c": 1}},
            "whole": {"apiVersion": "v1", "kind": "B", "metadata": {"x": 1}, "spec": {"d": 1}, "e": 1},
        },
    });
    let removed = schema.prune(&mut object);
    assert_eq!(
        removed,
        [
            "spec.kept.inner.c",
            "spec.list[1].c",
            "spec.map.k.c",
            "spec.whole.e",
            "spec.whole.spec.d",
            "spec.z",
            "status",
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "A", "metadata": {"name": "x", "odd": 1},
            "spec": {
                "a": "x", "list": [{"b": ""}, {"b": ""}], "map": {"k": {"b": ""}},
                "kept": {"any": {"thing": 1}, "inner": {"b": ""}},
                "whole": {"apiVersion": "v1", "kind": "B", "metadata": {"x": 1}, "spec": {}},
            },
        })
    );
    assert!(schema.prune(&mut object).is_empty());
}

#[test]
fn where_everything_is_kept_nothing_is_removed() {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = Structural::parse(&schema, "s").expect("a schema");
    let mut object = json!({"spec": {"a": [1]}, "x": null});
    assert!(schema.prune(&mut object).is_empty());
    assert_eq!(object, json!({"spec": {"a": [1]}, "x": null}));
}

#[test]
fn defaults_are_set_from_the_outside_in() {
    let schema = parse(json!({
        "spec": {"type": "object", "default": {"size": {}}, "properties": {
            "size": {"type": "object", "default": {}, "properties": {"count": {"type": "integer", "default": 3}}},
            "maybe": {"type": "string", "nullable": true, "default": "x"},
            "never": {"type": "string", "default": "y"},
            "plain": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "integer", "default": 7}},
        }},
    }));
    let table = [
        (json!({}), json!({"spec": {"size": {"count": 3}, "maybe": "x", "never": "y"}})),
        (
            json!({"spec": {"size": {"count": 5}, "maybe": null, "never": null, "plain": null}}),
            json!({"spec": {"size": {"count": 5}, "maybe": null, "never": "y"}}),
        ),
        (
            json!({"spec": {"list": [{}, {"p": "UDP"}], "map": {"a": null, "b": 1}, "unknown": null}}),
            json!({"spec": {
                "list": [{"p": "TCP"}, {"p": "UDP"}], "map": {"a": 7, "b": 1}, "unknown": null,
                "size": {"count": 3}, "maybe": "x", "never": "y",
            }}),
        ),
    ];
    for (mut object, expected) in table {
        schema.default(&mut object);
        assert_eq!(object, expected);
    }
}

#[test]
fn defaults_do_not_multiply() {
    let ten = json!([{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]);
    let mut list = json!({"type": "array", "default": ten, "items": {"type": "object"}});
    for _ in 0..12 {
        let item = json!({"type": "object", "properties": {"x": list}});
        list = json!({"type": "array", "default": ten, "items": item});
    }
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": list}}}});
    let errors = Structural::parse(&schema, "s").expect_err("each object would have 10^13 values");
    assert!(errors[0].to_string().contains("must not come to more than 262144 bytes"), "{errors:?}");
}

#[test]
fn defaults_of_a_long_list_end_behind_the_largest_object() {
    let text = "x".repeat(4096);
    let schema = parse(json!({"list": {"type": "array", "items": {"type": "object", "properties": {
        "text": {"type": "string", "default": text},
    }}}}));
    let mut object = json!({"list": vec![json!({}); 100_000]});
    schema.default(&mut object);
    let filled = object["list"].as_array().expect("a list").iter().filter(|element| element["text"] == *text).count();
    assert!((384..=512).contains(&filled), "between 1.5 and 2 MiB: {filled}");
}
