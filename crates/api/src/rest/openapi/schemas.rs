//! Schemas of kinds and of everything in them, from the table of types: names, types, and how lists and maps merge. They say
//! which fields there are; what a field means is Kubernetes' to tell.

use keelson_types::schema::{Field, Merge, Message, Type, schema};
use serde_json::{Map, Value, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_TEXT: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const RAW: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// Adds the schema of a message and of all that it holds.
pub(super) fn add(schemas: &mut Map<String, Value>, message: &'static Message) {
    let name = name(message);
    if schemas.contains_key(&name) {
        return;
    }
    // It is there before what it holds, so that whatever holds itself ends.
    schemas.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    add_properties(schemas, &mut properties, message);
    let mut of = json!({"type": "object", "properties": properties});
    if message.atomic {
        of["x-kubernetes-map-type"] = "atomic".into();
    }
    schemas.insert(name, of);
}

/// `core.v1.Pod` is known as `io.k8s.api.core.v1.Pod`.
pub(super) fn name(message: &Message) -> String {
    match message.name.strip_prefix("meta.v1.") {
        Some(name) => format!("{META}.{name}"),
        None => format!("io.k8s.api.{}", message.name),
    }
}

fn add_properties(schemas: &mut Map<String, Value>, properties: &mut Map<String, Value>, message: &'static Message) {
    for field in &message.fields {
        match &field.of {
            Type::Message(index) if field.name.is_empty() => {
                add_properties(schemas, properties, schema().message(*index));
            }
            of => {
                let mut property = value(schemas, of);
                add_merge(&mut property, field);
                properties.insert(field.name.to_owned(), property);
            }
        }
    }
}

fn add_merge(property: &mut Value, field: &Field) {
    let list = matches!(field.of, Type::List(_));
    match &field.merge {
        Merge::Usual if list => property["x-kubernetes-list-type"] = "atomic".into(),
        Merge::Usual => {}
        Merge::Atomic if list => property["x-kubernetes-list-type"] = "atomic".into(),
        Merge::Atomic => property["x-kubernetes-map-type"] = "atomic".into(),
        Merge::Set => property["x-kubernetes-list-type"] = "set".into(),
        Merge::Keys(keys) => {
            property["x-kubernetes-list-type"] = "map".into();
            property["x-kubernetes-list-map-keys"] = keys.iter().map(|key| key.name).collect();
        }
    }
}

fn value(schemas: &mut Map<String, Value>, of: &'static Type) -> Value {
    match of {
        Type::Text => json!({"type": "string"}),
        Type::Truth => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Quantity => named(schemas, QUANTITY, json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
        Type::IntOrText => {
            let either = json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]});
            named(schemas, INT_OR_TEXT, either)
        }
        Type::Time => named(schemas, &format!("{META}.Time"), json!({"type": "string", "format": "date-time"})),
        Type::MicroTime => {
            named(schemas, &format!("{META}.MicroTime"), json!({"type": "string", "format": "date-time"}))
        }
        Type::Duration => named(schemas, &format!("{META}.Duration"), json!({"type": "string"})),
        Type::Double => json!({"type": "number", "format": "double"}),
        // Anything may stand there, and no schema says so better than none.
        Type::Json | Type::Either(..) => json!({}),
        Type::Raw => named(schemas, RAW, json!({"type": "object"})),
        Type::FieldSet => named(schemas, &format!("{META}.FieldsV1"), json!({"type": "object"})),
        Type::WrappedTexts => json!({"type": "array", "items": {"type": "string"}}),
        Type::Message(index) => {
            let message = schema().message(*index);
            add(schemas, message);
            reference(&name(message))
        }
        Type::List(of) => json!({"type": "array", "items": value(schemas, of)}),
        Type::Map(of) => json!({"type": "object", "additionalProperties": value(schemas, of)}),
    }
}

fn named(schemas: &mut Map<String, Value>, name: &str, of: Value) -> Value {
    schemas.entry(name).or_insert(of);
    reference(name)
}

/// Within `allOf`, because whatever stands beside a reference is ignored.
fn reference(name: &str) -> Value {
    json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]})
}
