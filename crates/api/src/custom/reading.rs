//! What of a definition decides how its stored objects are read: which fields stay, which defaults are filled in, and what
//! selectors see. Pure.
//!
//! The objects of a kind are read again when this has changed, and everybody else waits for that. Columns, names, descriptions
//! and all that only says which objects are allowed may change without.

use serde_json::{Map, Value, json};

/// Keywords that say which values are allowed, or what they mean to people. What stands within `allOf`, `anyOf`, `oneOf` and
/// `not` may say nothing else.
const ONLY_CHECKED: [&str; 26] = [
    "allOf",
    "anyOf",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "required",
    "title",
    "uniqueItems",
    "x-kubernetes-validations",
    "id",
];

/// Equal for two definitions of a kind that read their objects alike, in every version.
pub(super) fn of(definition: &Value) -> Value {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().into_iter().flatten().map(|version| {
        json!([
            version["name"],
            version["served"],
            version["storage"],
            version["selectableFields"],
            schema(&version["schema"]["openAPIV3Schema"]),
        ])
    });
    let versions: Value = versions.collect();
    json!([spec["group"], spec["scope"], spec["names"]["plural"], spec["names"]["kind"], versions])
}

fn schema(schema: &Value) -> Value {
    let Some(keywords) = schema.as_object() else { return schema.clone() };
    let kept = keywords.iter().filter(|(keyword, _)| !ONLY_CHECKED.contains(&keyword.as_str()));
    let kept = kept.map(|(keyword, value)| (keyword.clone(), within(keyword, value)));
    Value::Object(kept.collect())
}

fn within(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties", Value::Object(fields)) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), schema(field)));
            Value::Object(fields.collect::<Map<String, Value>>())
        }
        ("items" | "additionalProperties", place) => schema(place),
        (_, value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(spec: &Value) -> Value {
        let properties = json!({"spec": spec, "description": {"type": "string", "default": "x"}});
        let schema = json!({"type": "object", "properties": properties});
        json!({"spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        }})
    }

    #[test]
    fn what_only_checks_or_tells_changes_no_object() {
        let plain = definition(&json!({"type": "object", "properties": {"size": {"type": "integer"}}}));
        let checked = definition(&json!({
            "type": "object", "description": "What is wanted.", "required": ["size"],
            "x-kubernetes-validations": [{"rule": "self.size > 1"}],
            "properties": {"size": {"type": "integer", "minimum": 1, "anyOf": [{"enum": [2]}]}},
        }));
        assert_eq!(of(&plain), of(&checked));
        let mut named = plain.clone();
        named["spec"]["names"]["shortNames"] = json!(["th"]);
        named["spec"]["versions"][0]["additionalPrinterColumns"] = json!([{"name": "Size"}]);
        assert_eq!(of(&plain), of(&named));
    }

    #[test]
    fn what_prunes_defaults_or_selects_changes_objects() {
        let plain = definition(&json!({"type": "object", "properties": {"size": {"type": "integer"}}}));
        for spec in [
            json!({"type": "object", "properties": {"size": {"type": "integer"}, "more": {"type": "string"}}}),
            json!({"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}),
            json!({"type": "object", "properties": {"size": {"type": "integer", "nullable": true}}}),
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            // Fields may be called as keywords are.
            json!({"type": "object", "properties": {"size": {"type": "integer"}, "pattern": {"type": "string"}}}),
        ] {
            assert_ne!(of(&plain), of(&definition(&spec)), "{spec}");
        }
        let mut selected = plain.clone();
        selected["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.size"}]);
        assert_ne!(of(&plain), of(&selected));
        let mut stored = plain.clone();
        stored["spec"]["versions"][0]["served"] = false.into();
        assert_ne!(of(&plain), of(&stored));
    }
}
