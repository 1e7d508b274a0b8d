//! The newer form: everything below `/api` or `/apis` in one document, so that kubectl starts with two requests.

use keelson_types::Kind;
use keelson_types::registry::Registry;
use serde_json::{Value, json};

use super::{groups, kinds_of, versions_of};
use crate::pipeline::offer::{subresources, verbs};

pub(super) const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
pub(super) const V2_BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The core group alone, or every other group.
pub(super) fn list(registry: &Registry, core: bool, api_version: &str) -> Value {
    let items: Vec<Value> = if core {
        vec![group(registry, "")]
    } else {
        groups(registry).into_iter().map(|name| group(registry, name)).collect()
    };
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn group(registry: &Registry, name: &'static str) -> Value {
    let versions: Vec<Value> = versions_of(registry, name)
        .into_iter()
        .map(|version| {
            json!({
                "version": version,
                "freshness": "Current",
                "resources": kinds_of(registry, name, version).map(resource).collect::<Vec<_>>(),
            })
        })
        .collect();
    let metadata = if name.is_empty() {
        json!({"creationTimestamp": null})
    } else {
        json!({"name": name, "creationTimestamp": null})
    };
    json!({"metadata": metadata, "versions": versions})
}

fn resource(kind: &'static Kind) -> Value {
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = kind.short_names.into();
    }
    if !kind.categories.is_empty() {
        resource["categories"] = kind.categories.into();
    }
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}
