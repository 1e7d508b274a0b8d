//! The schema as it is published for clients.

use serde_json::{Map, Value, json};

use crate::json::get;
use crate::shape::is_keyword;

/// Where clients find the schema of metadata.
const OBJECT_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema with only its keywords, and with what every object has.
pub(crate) fn publish(schema: &Value) -> Value {
    let mut published = place(schema);
    if let Some(fields) = published.as_object_mut() {
        fields.insert("type".into(), "object".into());
        object_fields(fields);
    }
    published
}

fn object_fields(schema: &mut Map<String, Value>) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    for (field, description) in
        [("apiVersion", "The version of the schema that this object follows."), ("kind", "The kind of this object.")]
    {
        properties[field] = json!({"type": "string", "description": description});
    }
    properties["metadata"] = json!({"allOf": [{"$ref": OBJECT_META}]});
}

fn place(schema: &Value) -> Value {
    let Some(keywords) = schema.as_object() else { return schema.clone() };
    let kept = keywords.iter().filter(|(keyword, value)| is_keyword(keyword) && !value.is_null());
    let mut out: Map<String, Value> =
        kept.map(|(keyword, value)| (keyword.clone(), self::keyword(keyword, value))).collect();
    if get(schema, "x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        object_fields(&mut out);
    }
    Value::Object(out)
}

fn keyword(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties", Value::Object(fields)) => {
            Value::Object(fields.iter().map(|(name, schema)| (name.clone(), place(schema))).collect())
        }
        ("items" | "additionalProperties" | "not", schema) => place(schema),
        ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => schemas.iter().map(place).collect(),
        (_, value) => value.clone(),
    }
}
