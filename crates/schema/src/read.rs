//! Makes nodes of a schema whose shape was checked.

use serde_json::{Number, Value};

use crate::Origin;
use crate::cel::{self, min_bytes};
use crate::json::{entries, flag, get, items, text, texts};
use crate::node::{Additional, Kind, Limits, ListType, Node, Rule};
use crate::pattern::Patterns;

/// The node of a schema and of all within it.
pub(crate) fn node(schema: &Value, patterns: &mut Patterns, origin: Origin) -> Node {
    let some = |keyword: &str| get(schema, keyword).filter(|value| value.is_object());
    let mut nodes = |keyword: &str| -> Vec<Node> {
        items(schema, keyword).map(|(_, schema)| node(schema, patterns, origin)).collect()
    };
    let (all_of, any_of, one_of) = (nodes("allOf"), nodes("anyOf"), nodes("oneOf"));
    let mut place = Node {
        kind: Kind::from_word(text(schema, "type")),
        nullable: flag(schema, "nullable"),
        default: get(schema, "default").cloned(),
        properties: entries(schema, "properties")
            .map(|(name, schema)| (name.clone(), node(schema, patterns, origin)))
            .collect(),
        additional: match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Anything,
            Some(Value::Bool(false)) => Additional::Refused,
            Some(schema @ Value::Object(_)) => Additional::Of(Box::new(node(schema, patterns, origin))),
            _ => Additional::Unsaid,
        },
        items: some("items").map(|schema| Box::new(node(schema, patterns, origin))),
        preserves_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields"),
        embedded: flag(schema, "x-kubernetes-embedded-resource"),
        int_or_string: flag(schema, "x-kubernetes-int-or-string"),
        list: match text(schema, "x-kubernetes-list-type") {
            "set" => ListType::Set,
            "map" => ListType::Map,
            _ => ListType::Atomic,
        },
        keys: texts(schema, "x-kubernetes-list-map-keys"),
        atomic: text(schema, "x-kubernetes-map-type") == "atomic",
        limits: limits(schema, patterns),
        all_of,
        any_of,
        one_of,
        not: some("not").map(|schema| Box::new(node(schema, patterns, origin))),
        rules: items(schema, "x-kubernetes-validations").map(|(_, value)| rule(value, origin)).collect(),
        has_rules: false,
        min_bytes: 0,
    };
    let mut below = place.properties.values().chain(place.items.as_deref()).chain(place.additional.node());
    place.has_rules = !place.rules.is_empty() || below.any(|node| node.has_rules);
    place.min_bytes = min_bytes(&place);
    place
}

fn limits(schema: &Value, patterns: &mut Patterns) -> Limits {
    let number = |keyword: &str| -> Option<Number> { schema.get(keyword).and_then(Value::as_number).cloned() };
    // A bound below zero bounds nothing from below, and everything from above.
    let count = |keyword: &str| {
        schema.get(keyword).and_then(Value::as_i64).map(|count| u64::try_from(count).unwrap_or_default())
    };
    Limits {
        format: text(schema, "format").to_owned(),
        allowed: items(schema, "enum").map(|(_, value)| value.clone()).collect(),
        minimum: number("minimum"),
        exclusive_minimum: flag(schema, "exclusiveMinimum"),
        maximum: number("maximum"),
        exclusive_maximum: flag(schema, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        // The checks refuse a schema with a pattern that cannot be compiled.
        pattern: Some(text(schema, "pattern"))
            .filter(|text| !text.is_empty())
            .and_then(|text| patterns.compile(text).ok()),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        required: texts(schema, "required"),
    }
}

fn rule(value: &Value, origin: Origin) -> Rule {
    let text = |keyword: &str| text(value, keyword).to_owned();
    let parsed = |keyword: &str| {
        Some(text(keyword)).filter(|text| !text.trim().is_empty()).map(|text| cel::parse(&text, origin))
    };
    let expression = parsed("rule");
    let uses_old = matches!(&expression, Some(Ok(expression)) if cel::names(&expression.root, "oldSelf"));
    Rule {
        source: value.clone(),
        rule: text("rule"),
        message: text("message"),
        expression,
        uses_old,
        message_expression: parsed("messageExpression"),
        reason: text("reason"),
        field_path: text("fieldPath"),
        optional_old_self: value.get("optionalOldSelf").and_then(Value::as_bool),
    }
}
