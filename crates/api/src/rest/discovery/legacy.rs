//! The older form: one document for the groups, and one for each group and version. `kubectl drain`, `auth can-i` and many
//! clients still read it.

use keelson_types::Kind;
use keelson_types::registry::Registry;
use serde_json::{Value, json};

use super::{kinds_of, versions_of};
use crate::pipeline::offer::{subresources, verbs};

/// `/api`. No address is recommended: every member serves everything, and the client has reached one already.
pub(super) fn core_versions(registry: &Registry) -> Value {
    json!({"kind": "APIVersions", "versions": versions_of(registry, ""), "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(super) fn groups(registry: &Registry) -> Value {
    json!({
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": super::groups(registry).into_iter().map(|name| group(registry, name)).collect::<Vec<_>>(),
    })
}

/// `/apis/<group>`
pub(super) fn group_document(registry: &Registry, name: &str) -> Value {
    let mut group = group(registry, name);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn group(registry: &Registry, name: &str) -> Value {
    let versions: Vec<Value> = versions_of(registry, name)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1`, `/apis/<group>/<version>`
pub(super) fn resources(registry: &Registry, group: &str, version: &str) -> Value {
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": kinds_of(registry, group, version).flat_map(with_subresources).collect::<Vec<_>>(),
    })
}

fn with_subresources(kind: &'static Kind) -> Vec<Value> {
    let mut resource = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = kind.short_names.into();
    }
    if !kind.categories.is_empty() {
        resource["categories"] = kind.categories.into();
    }
    let mut found = vec![resource];
    for sub in subresources(kind) {
        let mut resource = json!({
            "name": format!("{}/{}", kind.plural, sub.name),
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": sub.kind,
            "verbs": sub.verbs,
        });
        if (sub.group, sub.version) != (kind.group, kind.version) {
            resource["group"] = sub.group.into();
            resource["version"] = sub.version.into();
        }
        found.push(resource);
    }
    found
}
