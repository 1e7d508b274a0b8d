//! What it costs to keep a kind for as long as the process lives. Pure.
//!
//! A schema in memory is far larger than its text: each place is a value with room for every keyword, within a map that
//! allocates for eleven of them at once, and a regular expression is compiled. So places are counted, not bytes alone.

mod pattern;

use std::collections::HashSet;

use serde_json::Value;

/// A place of a schema as it is read, and as JSON twice: as it was given, and as it is published.
const PLACE_BYTES: usize = 2 << 10;
/// What a map of places allocates at once, however few are in it.
const MAP_BYTES: usize = 10 << 10;
/// Places that are in it at least, when there are many.
const MAP_PLACES: usize = 5;
/// A rule in memory, for each byte of its text.
const RULE_BYTE_BYTES: usize = 256;
/// A value of a default, an enumeration and the like.
const VALUE_BYTES: usize = 48;
/// How often they are kept: as they are given, as they are published, and as they are checked.
const COPIES: usize = 3;
/// What a map of values allocates for each five entries.
const VALUES_MAP_BYTES: usize = 640;
/// Everything else, for each byte of the definition's text.
const TEXT_BYTE_BYTES: usize = 4;

/// Of all versions of a definition whose text has `text_bytes`.
pub(super) fn definition(definition: &Value, text_bytes: usize) -> usize {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    // An expression is compiled once for each schema, wherever it stands.
    let schemas = versions.map(|version| place(&version["schema"]["openAPIV3Schema"], &mut HashSet::new()));
    schemas.fold(text_bytes.saturating_mul(TEXT_BYTE_BYTES), usize::saturating_add)
}

fn place<'v>(schema: &'v Value, patterns: &mut HashSet<&'v str>) -> usize {
    let Some(keywords) = schema.as_object() else { return 0 };
    let mut bytes = PLACE_BYTES;
    for (keyword, value) in keywords {
        let more = match (keyword.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                let maps = fields.len().div_ceil(MAP_PLACES) * MAP_BYTES;
                fields.values().map(|field| place(field, patterns)).fold(maps, usize::saturating_add)
            }
            ("items" | "additionalProperties" | "not", schema) => place(schema, patterns),
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter().map(|schema| place(schema, patterns)).fold(0, usize::saturating_add)
            }
            ("pattern", Value::String(text)) if patterns.insert(text) => pattern::bytes(text),
            ("x-kubernetes-validations", rules) => rules.to_string().len() * RULE_BYTE_BYTES,
            (_, value @ (Value::Array(_) | Value::Object(_))) => json(value) * COPIES,
            _ => 0,
        };
        bytes = bytes.saturating_add(more);
    }
    bytes
}

/// Its texts are counted with the definition's.
fn json(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(elements) => elements.iter().map(json).sum(),
        Value::Object(fields) => {
            fields.len().div_ceil(MAP_PLACES) * VALUES_MAP_BYTES + fields.values().map(json).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    VALUE_BYTES + inner
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn of(schema: &Value) -> usize {
        definition(&json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}), 0)
    }

    #[test]
    fn places_cost_what_they_take_and_not_what_their_text_does() {
        let field = |index: usize| (format!("f{index}"), json!({"type": "string"}));
        let many: Map<String, Value> = (0..1000).map(field).collect();
        assert!(of(&json!({"properties": many})) > 1500 * 1000);
        let mut deep = json!({"type": "string"});
        for _ in 0..50 {
            deep = json!({"properties": {"a": deep}});
        }
        assert!(of(&deep) > 50 * 8000, "a map of one allocates as one of eleven");
        let nested = json!({"items": {"anyOf": [{}, {}], "additionalProperties": {"not": {}}}});
        assert_eq!(of(&nested), 6 * PLACE_BYTES);
    }

    #[test]
    fn values_cost_what_they_take() {
        let default = vec![json!({"": 0}); 100];
        assert!(of(&json!({"default": default})) > 100 * 3 * 640);
        assert!(of(&json!({"enum": vec![json!(0); 1000]})) > 1000 * 3 * 32);
    }

    #[test]
    fn an_expression_costs_once_in_a_schema() {
        let field = |index: usize| (format!("f{index}"), json!({"type": "string", "pattern": "^a$"}));
        let with = |patterns: bool| {
            let mut fields: Map<String, Value> = (0..10).map(field).collect();
            if !patterns {
                fields.values_mut().for_each(|field| *field = json!({"type": "string"}));
            }
            of(&json!({"properties": fields}))
        };
        assert_eq!(with(true) - with(false), pattern::bytes("^a$"));
    }
}
