//! A kind that users define, for tests: CronTabs.

use http::Method;
use serde_json::{Value, json};

use crate::member::{Lines, Member, administrator};

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// The definition itself.
pub const OWN: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.example.com";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub const V1: &str = "/apis/example.com/v1/namespaces/default/crontabs";
pub const BETA: &str = "/apis/example.com/v1beta1/namespaces/default/crontabs";

/// CronTabs in two versions, of which v1 is stored.
pub fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["cronSpec"],
                "properties": {
                    "cronSpec": {"type": "string", "pattern": "^[0-9* ]+$"},
                    "image": {"type": "string", "default": "busybox"},
                    "replicas": {"type": "integer", "minimum": 0, "default": 1},
                    "ports": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                        "items": {
                            "type": "object", "required": ["port"],
                            "properties": {"port": {"type": "integer"}, "name": {"type": "string"}},
                        },
                    },
                },
                "x-kubernetes-validations": [
                    {"rule": "self.replicas <= 10", "message": "at most ten replicas"},
                    {"rule": "self.image == oldSelf.image || self.replicas == 0", "message": "scale down first"},
                ],
            },
            "status": {
                "type": "object",
                "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
            },
        },
    });
    let columns = json!([
        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec", "description": "When."},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let scale = json!({
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": scale}, "additionalPrinterColumns": columns,
            "selectableFields": [{"jsonPath": ".spec.image"}],
        })
    };
    let mut old = version("v1beta1", false);
    old["deprecated"] = true.into();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [version("v1", true), old],
        },
    })
}

pub fn cron_tab(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cronSpec": "* * 5"},
    })
}

/// A watch of one definition, from what it is now.
pub async fn watched(member: &Member, name: &str) -> Lines {
    let path = format!("{DEFINITIONS}?watch=true&fieldSelector=metadata.name%3D{name}");
    Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await)
}

/// Reads a watch until an event is as wanted.
pub async fn until(lines: &mut Lines, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = lines.next().await.expect("the watch goes on");
        if wanted(&line) {
            return line["object"].clone();
        }
    }
}

pub fn holds(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|found| found["type"] == condition && found["status"] == "True")
}

pub async fn established(member: &Member, definition: &Value) -> Value {
    member.post(DEFINITIONS, definition).await.expect(201);
    let name = definition["metadata"]["name"].as_str().expect("a name");
    until(&mut watched(member, name).await, |line| holds(&line["object"], "Established")).await
}
