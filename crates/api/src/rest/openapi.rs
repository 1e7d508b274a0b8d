//! OpenAPI, as much of it as clients act on: version 3, and version 2 made of it.
//!
//! kubectl reads a group's document before it creates, applies or compares: when the PATCH operation of a kind lists the
//! parameter `fieldValidation`, the server validates and kubectl does not. Requests name `*/*` as their content on
//! purpose: were strategic merge patch listed, kubectl would compute patches by the merge keys of these schemas, which do
//! not have them; so it uses those of its own types.
//!
//! Schemas come from the table of types; of kinds that users define, from their definitions. A document is made for the first who
//! asks for it, and kept while its kinds stay the same: all of them take 5 MiB, a tenth of what an idle member allocates, and most
//! clients read few.

mod schemas;
#[cfg(test)]
mod tests;
pub(super) mod v2;

use std::sync::{Arc, OnceLock};

use keelson_types::Kind;
use keelson_types::registry::Registry;
use keelson_types::schema::schema;
use serde_json::{Map, Value, json};
use tokio::task::JoinError;

use super::discovery::{self, Document};
use super::single::Single;
use crate::pipeline::offer;

const JSON: &str = "application/json";

const LIST_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The index at `/openapi/v3`, and a document for each group and version.
#[derive(Debug)]
pub(super) struct Documents {
    index: Arc<OnceLock<Arc<Document>>>,
    group_versions: Vec<GroupVersion>,
    server_version: &'static str,
}

/// Clones share what is made.
#[derive(Clone, Debug)]
struct GroupVersion {
    group: &'static str,
    version: &'static str,
    /// What the document tells of.
    kinds: Vec<&'static Kind>,
    document: Arc<OnceLock<Arc<Document>>>,
    /// Of the document, for the index: known for longer than it is kept.
    hash: Arc<OnceLock<String>>,
}

impl Documents {
    /// Documents whose kinds are still the same are taken from those `before`.
    pub(super) fn new(registry: &Registry, server_version: &'static str, before: Option<&Documents>) -> Self {
        let group_versions = discovery::group_versions(registry).into_iter().map(|(group, version)| {
            let kinds: Vec<&'static Kind> = discovery::kinds_of(registry, group, version).collect();
            let same = |one: &&GroupVersion| {
                one.kinds.len() == kinds.len()
                    && one.kinds.iter().zip(&kinds).all(|(left, right)| std::ptr::eq(*left, *right))
            };
            match before.and_then(|before| before.find(group, version)).filter(same) {
                Some(known) => known.clone(),
                None => GroupVersion { group, version, kinds, document: Arc::default(), hash: Arc::default() },
            }
        });
        Self { index: Arc::default(), group_versions: group_versions.collect(), server_version }
    }

    /// Which documents there are, each with its hash.
    ///
    /// # Errors
    /// When making it panicked.
    pub(super) async fn index(self: &Arc<Self>, single: &Single) -> Result<Arc<Document>, JoinError> {
        let documents = self.clone();
        single.get(self.index.clone(), move || Arc::new(documents.list())).await
    }

    /// The document of a group's version; None when there is no such.
    ///
    /// # Errors
    /// When making it panicked.
    pub(super) async fn group_version(
        &self,
        group: &str,
        version: &str,
        single: &Single,
    ) -> Result<Option<Arc<Document>>, JoinError> {
        let Some(known) = self.find(group, version) else { return Ok(None) };
        let (known, server_version) = (known.clone(), self.server_version);
        single.get(known.document.clone(), move || Arc::new(known.make(server_version))).await.map(Some)
    }

    fn list(&self) -> Document {
        let mut paths = Map::new();
        for known in &self.group_versions {
            let path = base_path(known.group, known.version);
            let url = format!("/openapi/v3{path}?hash={}", known.hash(self.server_version));
            paths.insert(path.trim_start_matches('/').to_owned(), json!({"serverRelativeURL": url}));
        }
        Document::new(JSON, &json!({"paths": paths}))
    }

    fn find(&self, group: &str, version: &str) -> Option<&GroupVersion> {
        self.group_versions.iter().find(|one| one.group == group && one.version == version)
    }
}

impl GroupVersion {
    /// The hash of the document, which is made for that alone when nobody has asked for it.
    fn hash(&self, server_version: &str) -> &str {
        self.hash.get_or_init(|| match self.document.get() {
            Some(document) => document.hash().to_owned(),
            None => self.make(server_version).hash().to_owned(),
        })
    }

    fn make(&self, server_version: &str) -> Document {
        Document::new(JSON, &group_version(&self.kinds, server_version))
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
    if kind.is_observed() {
        let mut one = scope.clone();
        one.push(path_parameter("name"));
        let read = |action, parameters, scope| json!({"get": operation(kind, action, parameters), "parameters": scope});
        paths.insert(collection.clone(), read("list", LIST, scope));
        paths.insert(format!("{collection}/{{name}}"), read("get", &[], one));
        return;
    }
    let mut operations = json!({
        "get": operation(kind, "list", LIST),
        "post": with_body(operation(kind, "post", WRITE), kind),
        "parameters": scope,
    });
    if offer::verbs(kind).contains(&"deletecollection") {
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
