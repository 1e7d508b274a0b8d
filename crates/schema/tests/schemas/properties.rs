//! What holds of every schema and every object.

use keelson_schema::Structural;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Words that schemas and objects are made of, so that they meet.
const WORDS: [&str; 30] = [
    "a",
    "b",
    "spec",
    "metadata",
    "kind",
    "apiVersion",
    "type",
    "properties",
    "items",
    "additionalProperties",
    "default",
    "nullable",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "required",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maxLength",
    "rule",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "$ref",
];
const TEXTS: [&str; 16] = [
    "object",
    "array",
    "string",
    "integer",
    "number",
    "boolean",
    "map",
    "set",
    "atomic",
    "a",
    "b",
    "(",
    "self == 1",
    "",
    "date",
    "self.all(x, x)",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..40_i64).prop_map(Value::from),
        (-3.0..3.0_f64).prop_map(Value::from),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
    ]
}

/// Any JSON, with the words of schemas.
fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 60, 6, |inner| {
        let word = prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A schema that is accepted, or nearly so.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "default": "x"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "integer", "nullable": true, "default": 1})),
        Just(json!({"type": "string", "nullable": true})),
        Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"type": "object", "additionalProperties": {"type": "string"}})),
        Just(
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true})
        ),
    ];
    let places = leaf.prop_recursive(4, 30, 4, |inner| {
        let word = prop::sample::select(&["a", "b", "c", "d"][..]).prop_map(str::to_owned);
        let fields = prop::collection::btree_map(word, inner.clone(), 0..4);
        let fields = fields.prop_map(|map| map.into_iter().collect::<Map<_, _>>());
        prop_oneof![
            (fields.clone(), any::<bool>()).prop_map(|(fields, keeps)| {
                let mut schema = json!({"type": "object", "properties": fields});
                if keeps {
                    schema["x-kubernetes-preserve-unknown-fields"] = true.into();
                }
                schema
            }),
            fields.prop_map(|fields| json!({"type": "object", "properties": fields, "default": {}})),
            inner.clone().prop_map(|item| json!({"type": "array", "items": item})),
            inner.prop_map(|field| json!({"type": "object", "additionalProperties": field})),
        ]
    });
    places.prop_map(|spec| json!({"type": "object", "properties": {"a": spec}}))
}

fn object() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 40, 4, |inner| {
        let word = prop::sample::select(&["a", "b", "c", "d", "metadata", "kind"][..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word, inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_json_is_accepted_or_refused_with_a_reason(schema in anything()) {
        if let Err(errors) = Structural::parse(&schema, "s") {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn pruning_twice_removes_nothing_more(schema in schema(), mut object in object()) {
        let Ok(schema) = Structural::parse(&schema, "s") else { return Ok(()) };
        schema.prune(&mut object);
        let pruned = object.clone();
        prop_assert_eq!(schema.prune(&mut object), Vec::<String>::new());
        prop_assert_eq!(object, pruned);
    }

    #[test]
    fn defaulting_twice_sets_nothing_more(schema in schema(), mut object in object()) {
        let Ok(schema) = Structural::parse(&schema, "s") else { return Ok(()) };
        schema.default(&mut object);
        let defaulted = object.clone();
        schema.default(&mut object);
        prop_assert_eq!(object, defaulted);
    }

    #[test]
    fn what_did_not_change_is_let_through(schema in schema(), object in object()) {
        let Ok(schema) = Structural::parse(&schema, "s") else { return Ok(()) };
        let told = schema.validate(&object, Some(&object));
        prop_assert!(told.iter().all(|error| error.path.contains("apiVersion") || error.path.contains("kind") || error.path.contains("metadata")), "{:?}", told);
    }
}
