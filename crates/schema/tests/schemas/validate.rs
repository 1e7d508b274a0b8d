//! What objects are refused for, in Kubernetes' words.

use keelson_schema::Structural;
use serde_json::{Value, json};

fn structural(spec: Value) -> Structural {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    Structural::parse(&schema, "spec.validation.openAPIV3Schema").expect("a schema")
}

/// What is said of an object whose spec has the one field `x`.
fn told(field: &Value, value: &Value) -> Vec<String> {
    let schema = structural(json!({"type": "object", "properties": {"x": field}}));
    schema.validate(&json!({"spec": {"x": value}}), None).iter().map(ToString::to_string).collect()
}

#[test]
fn each_keyword_refuses_in_its_own_words() {
    let text = json!({"type": "string"});
    let with = |base: &Value, more: Value| {
        let mut base = base.clone();
        base.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        base
    };
    let integer = json!({"type": "integer"});
    let list = json!({"type": "array", "items": {"type": "string"}});
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let table = [
        (
            integer.clone(),
            json!("a"),
            r#"spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#,
        ),
        (
            integer.clone(),
            json!(null),
            r#"spec.x: Invalid value: "null": spec.x in body must be of type integer: "null""#,
        ),
        (
            with(&integer, json!({"minimum": 1})),
            json!(0),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            with(&integer, json!({"minimum": 1, "exclusiveMinimum": true})),
            json!(1),
            "spec.x: Invalid value: 1: spec.x in body should be greater than 1",
        ),
        (
            with(&integer, json!({"maximum": 5})),
            json!(6),
            "spec.x: Invalid value: 6: spec.x in body should be less than or equal to 5",
        ),
        (
            with(&integer, json!({"maximum": 5, "exclusiveMaximum": true})),
            json!(5),
            "spec.x: Invalid value: 5: spec.x in body should be less than 5",
        ),
        (
            with(&integer, json!({"multipleOf": 3})),
            json!(4),
            "spec.x: Invalid value: 4: spec.x in body should be a multiple of 3",
        ),
        (
            with(&integer, json!({"format": "int32"})),
            json!(3_000_000_000_i64),
            r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.x"#,
        ),
        (with(&text, json!({"maxLength": 2})), json!("abc"), "spec.x: Too long: may not be more than 2 bytes"),
        (
            with(&text, json!({"minLength": 2})),
            json!("é"),
            r#"spec.x: Invalid value: "é": spec.x in body should be at least 2 chars long"#,
        ),
        (
            with(&text, json!({"pattern": "^a+$"})),
            json!("b"),
            r#"spec.x: Invalid value: "b": spec.x in body should match '^a+$'"#,
        ),
        (
            with(&text, json!({"format": "date-time"})),
            json!("b"),
            r#"spec.x: Invalid value: "b": spec.x in body must be of type date-time: "b""#,
        ),
        (
            with(&text, json!({"enum": ["b", "a"]})),
            json!("c"),
            r#"spec.x: Unsupported value: "c": supported values: "b", "a""#,
        ),
        (with(&list, json!({"maxItems": 1})), json!(["a", "b"]), "spec.x: Too many: 2: must have at most 1 item"),
        (
            with(&list, json!({"minItems": 1})),
            json!([]),
            "spec.x: Invalid value: 0: spec.x in body should have at least 1 items",
        ),
        (
            list.clone(),
            json!([1]),
            r#"spec.x[0]: Invalid value: "integer": spec.x[0] in body must be of type string: "integer""#,
        ),
        (
            with(&list, json!({"x-kubernetes-list-type": "set"})),
            json!(["a", "a", "a"]),
            r#"spec.x[1]: Duplicate value: "a""#,
        ),
        (
            with(&map, json!({"maxProperties": 1})),
            json!({"a": "", "b": ""}),
            "spec.x: Too many: 2: must have at most 1 item",
        ),
        (
            with(&map, json!({"minProperties": 1})),
            json!({}),
            "spec.x: Invalid value: 0: spec.x in body should have at least 1 properties",
        ),
        (
            map,
            json!({"a": 1}),
            r#"spec.x.a: Invalid value: "integer": spec.x.a in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
            json!({}),
            "spec.x.a: Required value",
        ),
        (
            with(&text, json!({"not": {"pattern": "b"}})),
            json!("b"),
            r#"<nil>: Invalid value: "": "spec.x" must not validate the schema (not)"#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
            }),
            json!([{"n": 1}, {"n": 1}]),
            r#"spec.x[1]: Duplicate value: {"n":1}"#,
        ),
    ];
    for (schema, value, expected) in table {
        assert_eq!(told(&schema, &value), [expected], "{schema} {value}");
    }
}

#[test]
fn a_fraction_is_neither_an_integer_nor_in_its_range() {
    let plain = told(&json!({"type": "integer"}), &json!(1.5));
    assert_eq!(
        plain,
        [
            r#"spec.x: Invalid value: "number": spec.x in body must be of type integer: "number""#,
            r#"<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.x"#,
        ]
    );
    let with_format = told(&json!({"type": "integer", "format": "int32"}), &json!(1.5));
    assert_eq!(
        with_format,
        [
            r#"spec.x: Invalid value: "float64": spec.x in body must be of type int32: "float64""#,
            r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.x"#,
        ]
    );
}

#[test]
fn what_fits_is_let_through() {
    let table = [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "integer", "minimum": 1}), json!(1)),
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "number", "multipleOf": 0.1}), json!(0.3)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"type": "string", "format": "unheard"}), json!("x")),
        (json!({"type": "string", "maxLength": 2}), json!("éé")),
        (json!({"x-kubernetes-int-or-string": true}), json!("1%")),
        (json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}), json!(1)),
        (json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), json!({"a": [1, null]})),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!(null)),
        (json!({"type": "integer", "maximum": i64::MAX}), json!(i64::MAX)),
    ];
    for (schema, value) in table {
        assert_eq!(told(&schema, &value), [""; 0], "{schema} {value}");
    }
}

#[test]
fn of_alternatives_the_one_that_came_furthest_is_told() {
    let schema = |word: &str| {
        json!({
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            word: [{"required": ["a"]}, {"required": ["b"], "properties": {"a": {"maxLength": 1}}}],
        })
    };
    let one_of = r#"<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). "#;
    let any_of = r#"<nil>: Invalid value: "": "spec.x" must validate at least one schema (anyOf)"#;
    let all_of = r#"<nil>: Invalid value: "": "spec.x" must validate all the schemas (allOf)"#;
    let both = json!({"a": "1", "b": "1"});
    assert_eq!(told(&schema("oneOf"), &both), [format!("{one_of}Found 2 valid alternatives")]);
    assert_eq!(
        told(&schema("oneOf"), &json!({})),
        [format!("{one_of}Found none valid"), "spec.x.a: Required value".into()]
    );
    assert_eq!(told(&schema("anyOf"), &json!({})), [any_of.to_owned(), "spec.x.a: Required value".into()]);
    assert_eq!(told(&schema("anyOf"), &both), [""; 0]);
    assert_eq!(told(&schema("allOf"), &json!({"a": "1"})), ["spec.x.b: Required value".to_owned(), all_of.to_owned()]);
    assert_eq!(
        told(&schema("allOf"), &json!({})),
        ["spec.x.a: Required value".to_owned(), "spec.x.b: Required value".into(), format!("{all_of}. None validated")]
    );
}

#[test]
fn what_was_wrong_and_did_not_change_is_let_through() {
    let schema = structural(json!({
        "type": "object",
        "properties": {
            "a": {"type": "integer", "maximum": 5},
            "b": {"type": "string"},
            "plain": {"type": "array", "items": {"type": "integer", "maximum": 5}},
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "required": ["n"], "properties": {
                    "n": {"type": "string"}, "v": {"type": "integer", "maximum": 5},
                }},
            },
        },
    }));
    let count = |new: &Value, old: &Value| schema.validate(&json!({"spec": new}), Some(&json!({"spec": old}))).len();
    let old = json!({"a": 9});
    assert_eq!(count(&json!({"a": 9, "b": "new"}), &old), 0);
    assert_eq!(count(&json!({"a": 8}), &old), 1, "it changed");
    assert_eq!(count(&json!({"plain": [9, 1]}), &json!({"plain": [9]})), 1, "nothing says which element it was");
    assert_eq!(count(&json!({"plain": [9]}), &json!({"plain": [9]})), 0, "the list as a whole did not change");
    let keyed = |elements: Value| json!({"keyed": elements});
    assert_eq!(count(&keyed(json!([{"n": "b"}, {"n": "a", "v": 9}])), &keyed(json!([{"n": "a", "v": 9}]))), 0);
    assert_eq!(count(&keyed(json!([{"n": "b", "v": 9}])), &keyed(json!([{"n": "a", "v": 9}]))), 1);
    let double = keyed(json!([{"n": "a"}, {"n": "a"}]));
    assert_eq!(count(&double, &keyed(json!([{"n": "a"}]))), 1);
    assert_eq!(count(&json!({"b": "", "keyed": double["keyed"]}), &double), 0, "it was double before");
}

#[test]
fn an_object_within_an_object_is_one() {
    let schema = structural(json!({
        "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
    }));
    let told = |spec: Value| -> Vec<String> {
        schema.validate(&json!({"spec": spec}), None).iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}, "x": 1})), [""; 0]);
    assert_eq!(
        told(json!({})),
        ["spec.apiVersion: Required value: must not be empty", "spec.kind: Required value: must not be empty"]
    );
    assert_eq!(
        told(json!({"apiVersion": "", "kind": ""})),
        [
            "spec.apiVersion: Invalid value: \"\": must not be empty",
            "spec.kind: Invalid value: \"\": must not be empty"
        ]
    );
    let with = |metadata: Value| told(json!({"apiVersion": "apps/v1", "kind": "Pod", "metadata": metadata}));
    for (wrong, path) in [
        (json!([]), "spec.metadata"),
        (json!({"name": 5}), "spec.metadata.name"),
        (json!({"name": "a/b"}), "spec.metadata.name"),
        (json!({"generateName": "%"}), "spec.metadata.generateName"),
        (json!({"name": ".."}), "spec.metadata.name"),
        (json!({"generation": "1"}), "spec.metadata.generation"),
        (json!({"creationTimestamp": "yesterday"}), "spec.metadata.creationTimestamp"),
        (json!({"finalizers": [1]}), "spec.metadata.finalizers"),
        (json!({"ownerReferences": {}}), "spec.metadata.ownerReferences"),
        (json!({"annotations": {"a": 1}}), "spec.metadata.annotations"),
    ] {
        let errors = with(wrong.clone());
        assert!(
            matches!(errors.as_slice(), [one] if one.starts_with(&format!("{path}: Invalid value"))),
            "{wrong}: {errors:?}"
        );
    }
    assert_eq!(with(json!({"name": "a.b", "creationTimestamp": null, "finalizers": ["x"], "generation": 1})), [""; 0]);
    for (wrong, path) in [
        (json!({"apiVersion": "a/b/c", "kind": "Pod"}), "spec.apiVersion: Invalid value: \"a/b/c\""),
        (json!({"apiVersion": "v1", "kind": "Two Words"}), "spec.kind: Invalid value: \"Two Words\""),
    ] {
        let errors = told(wrong);
        assert!(matches!(errors.as_slice(), [one] if one.starts_with(path)), "{errors:?}");
    }
    let labels = told(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b c"}}}));
    assert!(labels[0].starts_with("spec.metadata.labels[a]: Invalid value: \"b c\""), "{labels:?}");
}
