//! OpenAPI, as much of it as clients act on: version 3, and version 2 made of it.
//!
//! kubectl reads a group's document before it creates, applies or compares: when the PATCH operation of a kind lists the
//! parameter `fieldValidation`, the server validates and kubectl does not. Requests name `*/*` as their content on
//! purpose: were strategic merge patch listed, kubectl would compute patches by the merge keys of these schemas, which do
//! not have them; so it uses those of its own types.
//!
//! Schemas come from the table of types; of kinds that users define, from their definitions. A document is made once for its
//! kinds.

mod schemas;
pub(super) mod v2;

use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::registry::Registry;
use keelson_types::schema::schema;
use serde_json::{Map, Value, json};

use super::discovery::{self, Document};

const JSON: &str = "application/json";

const LIST_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The index at `/openapi/v3`, and a document for each group and version.
#[derive(Debug)]
pub(super) struct Documents {
    pub index: Document,
    group_versions: Vec<GroupVersion>,
}

#[derive(Clone, Debug)]
struct GroupVersion {
    group: &'static str,
    version: &'static str,
    /// What the document tells of.
    kinds: Vec<&'static Kind>,
    document: Arc<Document>,
}

impl Documents {
    /// Documents whose kinds are still the same are taken from those `before`.
    pub(super) fn new(registry: &Registry, server_version: &str, before: Option<&Documents>) -> Self {
        let mut paths = Map::new();
        let mut group_versions = Vec::new();
        for (group, version) in discovery::group_versions(registry) {
            let kinds: Vec<&'static Kind> = discovery::kinds_of(registry, group, version).collect();
            let same = |one: &&GroupVersion| {
                one.kinds.len() == kinds.len()
                    && one.kinds.iter().zip(&kinds).all(|(left, right)| std::ptr::eq(*left, *right))
            };
            let known = before.and_then(|before| before.find(group, version)).filter(same);
            let document = match known {
                Some(known) => known.document.clone(),
                None => Arc::new(Document::new(JSON, &group_version(&kinds, server_version))),
            };
            let path = base_path(group, version);
            let url = format!("/openapi/v3{path}?hash={}", document.hash());
            paths.insert(path.trim_start_matches('/').to_owned(), json!({"serverRelativeURL": url}));
            group_versions.push(GroupVersion { group, version, kinds, document });
        }
        Self { index: Document::new(JSON, &json!({"paths": paths})), group_versions }
    }

    pub(super) fn group_version(&self, group: &str, version: &str) -> Option<&Document> {
        self.find(group, version).map(|one| &*one.document)
    }

    fn find(&self, group: &str, version: &str) -> Option<&GroupVersion> {
        self.group_versions.iter().find(|one| one.group == group && one.version == version)
    }
}

fn base_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn group_version(kinds: &[&'static Kind], server_version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in kinds {
        add_paths(&mut paths, kind);
        add_schemas(&mut schemas, kind);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Keelson", "version": server_version},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn add_paths(paths: &mut Map<String, Value>, kind: &'static Kind) {
    let base = base_path(kind.group, kind.version);
    let plural = kind.plural;
    let (collection, scope) = if kind.namespaced {
        (format!("{base}/namespaces/{{namespace}}/{plural}"), vec![path_parameter("namespace")])
    } else {
        (format!("{base}/{plural}"), Vec::new())
    };
    if kind.is_answered() {
        let operations = json!({"post": with_body(operation(kind, "post", WRITE), kind), "parameters": scope});
        paths.insert(collection, operations);
        return;
    }
    if kind.namespaced {
        paths.insert(format!("{base}/{plural}"), json!({"get": operation(kind, "list", LIST)}));
    }
    let mut operations = json!({
        "get": operation(kind, "list", LIST),
        "post": with_body(operation(kind, "post", WRITE), kind),
        "parameters": scope,
    });
    if discovery::verbs(kind).contains(&"deletecollection") {
        operations["delete"] = operation(kind, "deletecollection", LIST);
    }
    paths.insert(collection.clone(), operations);

    let mut scope = scope;
    scope.push(path_parameter("name"));
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation(kind, "get", &[]),
            "put": with_body(operation(kind, "put", WRITE), kind),
            "patch": with_open_body(operation(kind, "patch", PATCH)),
            "delete": operation(kind, "delete", DELETE),
            "parameters": scope,
        }),
    );
    let of_pods =
        if kind.group.is_empty() && kind.plural == "pods" { &["ephemeralcontainers", "resize"][..] } else { &[] };
    for subresource in kind.status.then_some("status").into_iter().chain(of_pods.iter().copied()) {
        paths.insert(
            format!("{collection}/{{name}}/{subresource}"),
            json!({
                "get": operation(kind, "get", &[]),
                "put": with_body(operation(kind, "put", WRITE), kind),
                "patch": with_open_body(operation(kind, "patch", PATCH)),
                "parameters": scope,
            }),
        );
    }
}

/// A query parameter: name, type, description.
type Parameter = (&'static str, &'static str, &'static str);

const LIST: &[Parameter] = &[
    ("labelSelector", "string", "Restricts the answer to objects with these labels."),
    ("fieldSelector", "string", "Restricts the answer to objects with these fields."),
    ("limit", "integer", "The most objects in one page; 0 is no limit."),
    ("continue", "string", "Where the page before ended."),
    ("resourceVersion", "string", "The version to read."),
    ("resourceVersionMatch", "string", "How resourceVersion is understood: Exact or NotOlderThan."),
    ("watch", "boolean", "Stream changes instead of listing."),
    ("allowWatchBookmarks", "boolean", "Send events that only tell how far a watch has come."),
    ("sendInitialEvents", "boolean", "Begin a watch with what exists."),
    ("timeoutSeconds", "integer", "How long a watch lasts."),
];
const WRITE: &[Parameter] = &[
    ("dryRun", "string", "All: everything but the write itself happens."),
    ("fieldManager", "string", "Who writes."),
    ("fieldValidation", "string", "What happens to unknown and duplicate fields: Ignore, Warn or Strict."),
];
const PATCH: &[Parameter] = WRITE;
const DELETE: &[Parameter] = &[
    ("dryRun", "string", "All: everything but the write itself happens."),
    ("gracePeriodSeconds", "integer", "How long the object may take to end; 0 is at once."),
    ("propagationPolicy", "string", "What happens to dependents: Background, Foreground or Orphan."),
];

fn operation(kind: &Kind, action: &str, parameters: &[Parameter]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, kind, description)| {
            json!({"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true}})
        })
        .collect();
    let schema = if matches!(action, "list") { kind.list_kind } else { kind.kind };
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {JSON: {"schema": reference(kind, schema)}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(kind, kind.kind),
    })
}

fn with_body(mut operation: Value, kind: &Kind) -> Value {
    operation["requestBody"] = json!({"required": true, "content": {"*/*": {"schema": reference(kind, kind.kind)}}});
    operation
}

fn with_open_body(mut operation: Value) -> Value {
    operation["requestBody"] = json!({"required": true, "content": {"*/*": {"schema": {"type": "object"}}}});
    operation
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

fn add_schemas(schemas: &mut Map<String, Value>, kind: &Kind) {
    for name in [kind.kind, kind.list_kind].into_iter().filter(|name| !name.is_empty()) {
        // A kind that the table does not have is left open.
        let message = if kind.is_custom() { None } else { schema().kind(&kind.api_version(), name) };
        let entry = match message {
            _ if kind.is_custom() => {
                for common in ["ObjectMeta", "ListMeta"] {
                    if let Some(message) = schema().kind("v1", common) {
                        schemas::add(schemas, message);
                    }
                }
                Some(schemas.entry(schema_name(kind, name)).or_insert_with(|| custom(kind, name)))
            }
            Some(message) => {
                schemas::add(schemas, message);
                schemas.get_mut(&schemas::name(message))
            }
            None => {
                let open = json!({"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": true});
                Some(schemas.entry(schema_name(kind, name)).or_insert(open))
            }
        };
        let Some(entry) = entry else { continue };
        if entry["description"].is_null() {
            entry["description"] = format!("{name} of {}.", kind.api_version()).into();
        }
        entry["x-kubernetes-group-version-kind"] = json!([gvk(kind, name)]);
        for (field, description) in [
            ("apiVersion", "The version of the schema that this object follows."),
            ("kind", "The kind of this object."),
        ] {
            entry["properties"][field] = json!({"type": "string", "description": description});
        }
    }
}

/// The schema of a kind that users define, or of its list, with the parts that every object has.
fn custom(kind: &Kind, name: &str) -> Value {
    let mut of = match kind.definition() {
        Some(definition) if name == kind.kind => return definition.openapi(),
        _ => {
            let items = json!({"type": "array", "items": reference(kind, kind.kind)});
            json!({"type": "object", "required": ["items"], "properties": {"items": items}})
        }
    };
    of["properties"]["metadata"] = json!({"allOf": [{"$ref": LIST_META}]});
    of
}

/// Kinds that users define are named by their group backwards, as in Kubernetes: `com.example.v1.CronTab`.
fn schema_name(kind: &Kind, name: &str) -> String {
    if kind.is_custom() {
        let group: Vec<&str> = kind.group.rsplit('.').collect();
        return format!("{}.{}.{name}", group.join("."), kind.version);
    }
    let group = if kind.group.is_empty() { "core" } else { kind.group.split('.').next().unwrap_or_default() };
    format!("io.k8s.api.{group}.{}.{name}", kind.version)
}

fn reference(kind: &Kind, name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", schema_name(kind, name))})
}

fn gvk(kind: &Kind, name: &str) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": name})
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;

    use super::*;

    /// What kubectl looks for (`supportsQueryParamV3`): a PATCH operation of the kind that lists `fieldValidation`.
    fn validates_on_the_server(document: &Value, kind: &Kind) -> bool {
        let paths = document["paths"].as_object().expect("paths");
        paths.values().filter_map(|path| path.get("patch")).any(|patch| {
            patch["x-kubernetes-group-version-kind"] == gvk(kind, kind.kind)
                && patch["parameters"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|p| p["name"] == "fieldValidation" && p["in"] == "query")
        })
    }

    #[test]
    fn kubectl_finds_server_side_validation_for_every_kind() {
        let documents = Documents::new(registry::built_in(), "v1.36.0", None);
        for kind in registry::all().iter().filter(|kind| !kind.is_answered()) {
            let document = documents.group_version(kind.group, kind.version).expect("is served");
            let document: Value = serde_json::from_slice(&document.body).expect("documents are JSON");
            assert!(validates_on_the_server(&document, kind), "{}", kind.kind);
        }
    }

    #[test]
    fn the_index_names_every_document_by_its_hash() {
        let documents = Documents::new(registry::built_in(), "v1.36.0", None);
        let index: Value = serde_json::from_slice(&documents.index.body).expect("documents are JSON");
        let core = documents.group_version("", "v1").expect("is served");
        assert_eq!(index["paths"]["api/v1"]["serverRelativeURL"], format!("/openapi/v3/api/v1?hash={}", core.hash()));
        assert!(index["paths"]["apis/apps/v1"].is_object());
    }

    #[test]
    fn every_field_is_told_with_its_type() {
        let documents = Documents::new(registry::built_in(), "v1.36.0", None);
        let apps = documents.group_version("apps", "v1").expect("is served");
        let apps: Value = serde_json::from_slice(&apps.body).expect("documents are JSON");
        let mut of = &apps["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
        for field in ["spec", "template", "spec"] {
            let reference = of["properties"][field]["allOf"][0]["$ref"].as_str().expect("a reference");
            of = apps.pointer(reference.trim_start_matches('#')).expect("a schema");
        }
        let containers = &of["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]), "{containers}");
        assert_eq!(of["properties"]["hostNetwork"], json!({"type": "boolean"}));
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(map) => {
                    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                        found.push(reference);
                    }
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let documents = Documents::new(registry::built_in(), "v1.36.0", None);
        for one in &documents.group_versions {
            let document: Value = serde_json::from_slice(&one.document.body).expect("documents are JSON");
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(!found.is_empty());
            for reference in found {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
        }
    }
}
