//! The document of version 2, made of what version 3 says: for clients of before version 3, and for tools that read all kinds from
//! one document.
//!
//! It is made when somebody asks for it, one kind of users after the other, so that no more than its text is kept. What version
//! 2 cannot say (`anyOf`, `oneOf`, `not`, `nullable`) is left out, which makes it say less, never something else.

use std::collections::HashSet;

use keelson_types::Kind;
use keelson_types::registry::Registry;
use serde_json::{Map, Value, json};

use super::super::discovery::{self, Document};
use super::JSON;

/// The type of the document in protobuf, the only form in which kubectl asks for it.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// How a request names that type; older ones write it otherwise.
const PROTOBUF_NAMES: &str = "com.github.proto-openapi.spec.v2";
/// When users' kinds have come to so much of the document, the schemas of those that are still to come stay open, and at twice as
/// much these kinds are left out: thousands of them could fill a member's memory.
const BYTES_MAX: usize = 32 << 20;

/// Whether a request asks for protobuf.
pub(in crate::rest) fn wants_protobuf(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| accept.contains(PROTOBUF_NAMES))
}

/// The document in protobuf, which describes nothing.
///
/// kubectl turns to it for kinds that version 3 does not have, and must find them missing rather than fail: only then does
/// it say that there is no such kind. Encoded, an empty protobuf message is no bytes at all.
pub(in crate::rest) fn empty() -> Document {
    Document::raw(PROTOBUF, bytes::Bytes::new())
}

/// The document in JSON, of all kinds.
pub(in crate::rest) fn document(registry: &Registry, server_version: &str) -> Document {
    Document::raw(JSON, text(registry, server_version, BYTES_MAX).into())
}

fn text(registry: &Registry, server_version: &str, bytes_max: usize) -> String {
    let (mut paths, mut definitions) = (Members::default(), Members::default());
    let mut users_bytes = 0_usize;
    for (group, version) in discovery::group_versions(registry) {
        let kinds: Vec<&'static Kind> = discovery::kinds_of(registry, group, version).collect();
        let custom = kinds.iter().any(|kind| kind.is_custom());
        // The program's own have much in common. Users' may be large, and many.
        for kinds in kinds.chunks(if custom { 1 } else { usize::MAX }) {
            if custom && users_bytes > bytes_max.saturating_mul(2) {
                break;
            }
            let before = paths.0.len() + definitions.0.len();
            let mut whole = super::group_version(kinds, server_version);
            for (path, item) in take(&mut whole["paths"]) {
                paths.add(&path, || path_item(item));
            }
            let full = custom && users_bytes > bytes_max;
            for (name, schema) in take(&mut whole["components"]["schemas"]) {
                definitions.add(&name, || if full { open(&schema) } else { self::schema(schema) });
            }
            if custom {
                users_bytes += paths.0.len() + definitions.0.len() - before;
            }
        }
    }
    let info = json!({"title": "Keelson", "version": server_version});
    format!("{{\"swagger\":\"2.0\",\"info\":{info},\"paths\":{{{}}},\"definitions\":{{{}}}}}", paths.0, definitions.0)
}

/// The members of a JSON object as text, each name once.
#[derive(Default)]
struct Members(String, HashSet<String>);

impl Members {
    fn add(&mut self, name: &str, value: impl FnOnce() -> Value) {
        if self.1.insert(name.to_owned()) {
            let comma = if self.0.is_empty() { "" } else { "," };
            self.0.push_str(&format!("{comma}{}:{}", Value::from(name), value()));
        }
    }
}

fn take(object: &mut Value) -> Map<String, Value> {
    match object.take() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A schema that says no more than which kind it is of.
fn open(schema: &Value) -> Value {
    let kinds = &schema["x-kubernetes-group-version-kind"];
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-group-version-kind": kinds})
}

fn path_item(mut item: Value) -> Value {
    for (method, inner) in item.as_object_mut().into_iter().flatten() {
        *inner = if method == "parameters" { parameters(inner.take()) } else { operation(inner.take()) };
    }
    item
}

fn operation(mut operation: Value) -> Value {
    let mut given = parameters(operation["parameters"].take());
    let body = operation.as_object_mut().and_then(|fields| fields.remove("requestBody"));
    if let (Some(mut body), Some(given)) = (body, given.as_array_mut()) {
        let schema = schema(body["content"]["*/*"]["schema"].take());
        given.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
        operation["consumes"] = json!(["*/*"]);
    }
    operation["parameters"] = given;
    operation["produces"] = json!([JSON]);
    for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let schema = schema(response["content"][JSON]["schema"].take());
        *response = json!({"description": response["description"], "schema": schema});
    }
    operation
}

/// What stands in a parameter's schema stands in the parameter itself.
fn parameters(parameters: Value) -> Value {
    let flat = |mut parameter: Value| {
        let inner = take(&mut parameter["schema"]);
        if let Some(fields) = parameter.as_object_mut() {
            fields.remove("schema");
            fields.extend(inner);
        }
        parameter
    };
    match parameters {
        Value::Array(list) => list.into_iter().map(flat).collect(),
        _ => json!([]),
    }
}

/// Within a place of a schema.
fn schema(schema: Value) -> Value {
    let Value::Object(mut fields) = schema else { return schema };
    if let Some(reference) = reference(&fields) {
        return json!({"$ref": reference});
    }
    for keyword in ["anyOf", "oneOf", "not", "nullable", "allOf"] {
        fields.remove(keyword);
    }
    let mut out = Map::new();
    for (keyword, value) in fields {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.into_iter().map(|(name, of)| (name, self::schema(of))).collect()
            }
            ("items" | "additionalProperties", value) => self::schema(value),
            (_, value) => value,
        };
        out.insert(keyword, value);
    }
    Value::Object(out)
}

/// Where a place refers to, by itself or within `allOf`.
fn reference(fields: &Map<String, Value>) -> Option<String> {
    let within = fields.get("allOf").and_then(|all| all.get(0)).and_then(|first| first.get("$ref"));
    let reference = fields.get("$ref").or(within)?.as_str()?;
    Some(reference.replacen("#/components/schemas/", "#/definitions/", 1))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use keelson_types::custom::{Described, Scale};
    use keelson_types::{Definition, field, registry};

    use super::*;

    fn built_in() -> Value {
        serde_json::from_str(&text(registry::built_in(), "v1.36.0", BYTES_MAX)).expect("is JSON")
    }

    #[test]
    fn every_kind_and_everything_that_it_refers_to_is_there() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = built_in();
        assert_eq!(document["swagger"], "2.0");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        let paths = document["paths"].to_string();
        assert!(!paths.contains("requestBody") && !paths.contains("\"content\""), "these are words of version 3");
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for kind in registry::all() {
            let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
            let definitions = document["definitions"].as_object().expect("definitions");
            let told = definitions.values().any(|schema| schema["x-kubernetes-group-version-kind"][0] == gvk);
            assert!(told, "{gvk}");
        }
    }

    #[test]
    fn the_document_stays_bounded_whatever_kinds_users_define() {
        let large: Value = (0..200).map(|index| (format!("p{index}"), json!({"type": "string"}))).collect();
        let schema: &'static Value = Box::leak(Box::new(json!({"type": "object", "properties": large})));
        let kinds = (0..100).map(|index| {
            let described = Described {
                group: "example.com".to_owned(),
                version: "v1".to_owned(),
                kind: format!("Kind{index:02}"),
                list_kind: format!("Kind{index:02}List"),
                plural: format!("kind{index:02}s"),
                singular: format!("kind{index:02}"),
                ..Described::default()
            };
            described.leak(Box::leak(Box::new(Published(schema))))
        });
        let registry = Registry::with(kinds);
        let own_bytes = text(registry::built_in(), "v1.36.0", BYTES_MAX).len();
        let most = 100_000;
        let (whole, bounded) = (text(&registry, "v1.36.0", BYTES_MAX), text(&registry, "v1.36.0", most));
        assert!(whole.len() > own_bytes + 5 * most, "{}", whole.len());
        assert!(bounded.len() < own_bytes + 3 * most, "{} beside {own_bytes}", bounded.len());
        let told = |text: &str, open: bool| {
            let document: Value = serde_json::from_str(text).expect("is JSON");
            let kinds = (0..100).map(|index| document["definitions"][format!("com.example.v1.Kind{index:02}")].clone());
            let field = if open { "/x-kubernetes-preserve-unknown-fields" } else { "/properties/p0" };
            kinds.filter(|schema| schema.pointer(field).is_some()).count()
        };
        assert_eq!((told(&whole, false), told(&whole, true)), (100, 0));
        let (full, open) = (told(&bounded, false), told(&bounded, true));
        assert!(full > 1 && open > 1 && full + open < 90, "{full} with their fields, {open} without");
    }

    /// A kind that is only published.
    struct Published(&'static Value);

    impl Definition for Published {
        fn prune(&self, _object: &mut Value) -> Vec<String> {
            Vec::new()
        }

        fn default(&self, _object: &mut Value) {}

        fn validate(&self, _new: &Value, _old: Option<&Value>, _errors: &mut Vec<field::Error>) {}

        fn cells(&self, _object: &Value, _now: Timestamp) -> Vec<Value> {
            Vec::new()
        }

        fn column_paths(&self) -> &[String] {
            &[]
        }

        fn schema(&self) -> &Value {
            self.0
        }

        fn openapi(&self) -> Value {
            self.0.clone()
        }

        fn scale(&self) -> Option<&Scale> {
            None
        }

        fn stored_api_version(&self) -> &str {
            "example.com/v1"
        }

        fn warning(&self) -> Option<&str> {
            None
        }
    }

    #[test]
    fn operations_are_as_version_2_has_them() {
        let document = built_in();
        let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        let put = &item["put"];
        let deployment = json!({"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"});
        let body = put["parameters"].as_array().and_then(|all| all.iter().find(|one| one["in"] == "body"));
        assert_eq!(body.expect("a body")["schema"], deployment);
        assert_eq!(put["responses"]["200"], json!({"description": "OK", "schema": deployment}));
        assert_eq!(item["parameters"][0]["type"], "string", "{item}");
        let validates =
            |one: &Value| one["name"] == "fieldValidation" && one["in"] == "query" && one["type"] == "string";
        assert!(item["patch"]["parameters"].as_array().expect("a list").iter().any(validates));
        let spec = &document["definitions"]["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"];
        assert_eq!(*spec, json!({"$ref": "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"}));
    }

    #[test]
    fn what_version_2_cannot_say_is_left_out() {
        let of = json!({
            "type": "object", "nullable": true, "anyOf": [{"required": ["a"]}],
            "properties": {"not": {"type": "string"}, "a": {"type": "array", "items": {"not": {"type": "string"}}}},
        });
        let expected = json!({
            "type": "object", "properties": {"not": {"type": "string"}, "a": {"type": "array", "items": {}}},
        });
        assert_eq!(schema(of), expected);
        assert_eq!(open(&json!({"type": "object", "properties": {}}))["properties"], Value::Null);
    }
}
