//! Discovery: which groups, versions and resources there are, in both of Kubernetes' forms.
//!
//! Everything comes from a registry of kinds. Each document is made once for a registry.

mod aggregated;
mod legacy;

use std::collections::HashSet;

use bytes::Bytes;
use keelson_types::Kind;
use keelson_types::registry::Registry;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::negotiate::DiscoveryForm;
use crate::pipeline::offer::kinds;

const JSON: &str = "application/json";

/// A document that is made once and served with its hash, which changes when and only when the content does.
#[derive(Debug)]
pub(crate) struct Document {
    pub content_type: &'static str,
    pub body: Bytes,
    /// Quoted, as the header wants it.
    pub etag: String,
}

impl Document {
    pub(super) fn new(content_type: &'static str, value: &Value) -> Self {
        Self::raw(content_type, value.to_string().into())
    }

    pub(super) fn raw(content_type: &'static str, body: Bytes) -> Self {
        let digest = Sha256::digest(&body);
        let etag = digest.iter().fold(String::from("\""), |text, byte| text + &format!("{byte:02X}")) + "\"";
        Self { content_type, body, etag }
    }

    /// The hash without its quotes.
    pub(crate) fn hash(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// `/api` or `/apis`, in each form.
#[derive(Debug)]
struct Root {
    legacy: Document,
    v2: Document,
    v2_beta1: Document,
}

impl Root {
    fn get(&self, form: DiscoveryForm) -> &Document {
        match form {
            DiscoveryForm::Legacy => &self.legacy,
            DiscoveryForm::AggregatedV2 => &self.v2,
            DiscoveryForm::AggregatedV2Beta1 => &self.v2_beta1,
        }
    }
}

/// Every discovery document.
#[derive(Debug)]
pub(super) struct Documents {
    core: Root,
    groups: Root,
    /// `/apis/<group>`, by group.
    group: Vec<(&'static str, Document)>,
    /// `/api/v1` and `/apis/<group>/<version>`.
    resources: Vec<((&'static str, &'static str), Document)>,
}

impl Documents {
    pub(super) fn new(registry: &Registry) -> Self {
        let root = |core: bool, legacy: Value| Root {
            legacy: Document::new(JSON, &legacy),
            v2: Document::new(aggregated::V2, &aggregated::list(registry, core, "apidiscovery.k8s.io/v2")),
            v2_beta1: Document::new(
                aggregated::V2_BETA1,
                &aggregated::list(registry, core, "apidiscovery.k8s.io/v2beta1"),
            ),
        };
        Self {
            core: root(true, legacy::core_versions(registry)),
            groups: root(false, legacy::groups(registry)),
            group: groups(registry)
                .into_iter()
                .map(|group| (group, Document::new(JSON, &legacy::group_document(registry, group))))
                .collect(),
            resources: group_versions(registry)
                .into_iter()
                .map(|(group, version)| {
                    ((group, version), Document::new(JSON, &legacy::resources(registry, group, version)))
                })
                .collect(),
        }
    }

    pub(super) fn core(&self, form: DiscoveryForm) -> &Document {
        self.core.get(form)
    }

    pub(super) fn groups(&self, form: DiscoveryForm) -> &Document {
        self.groups.get(form)
    }

    pub(super) fn group(&self, group: &str) -> Option<&Document> {
        self.group.iter().find(|(name, _)| *name == group).map(|(_, document)| document)
    }

    pub(super) fn resources(&self, group: &str, version: &str) -> Option<&Document> {
        self.resources.iter().find(|(key, _)| *key == (group, version)).map(|(_, document)| document)
    }
}

/// The named groups (not the core group), in the order of the registry.
fn groups(registry: &Registry) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for kind in registry.all() {
        if !kind.group.is_empty() && seen.last() != Some(&kind.group) && !seen.contains(&kind.group) {
            seen.push(kind.group);
        }
    }
    seen
}

/// Every group and version, the core group's among them.
pub(super) fn group_versions(registry: &Registry) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for kind in registry.all() {
        if seen.insert((kind.group, kind.version)) {
            found.push((kind.group, kind.version));
        }
    }
    found
}

pub(super) fn kinds_of<'r>(
    registry: &'r Registry,
    group: &'r str,
    version: &'r str,
) -> impl Iterator<Item = &'static Kind> + use<'r> {
    kinds(registry).filter(move |kind| kind.group == group && kind.version == version)
}

fn versions_of(registry: &Registry, group: &str) -> Vec<&'static str> {
    group_versions(registry).into_iter().filter(|(name, _)| *name == group).map(|(_, version)| version).collect()
}

#[cfg(test)]
mod tests {
    use keelson_types::registry::built_in;

    use super::*;

    fn json(document: &Document) -> Value {
        serde_json::from_slice(&document.body).expect("documents are JSON")
    }

    #[test]
    fn both_forms_tell_of_the_same_resources() {
        let documents = Documents::new(built_in());
        for (root, groups) in [
            (documents.core(DiscoveryForm::AggregatedV2), vec![""]),
            (documents.groups(DiscoveryForm::AggregatedV2), groups(built_in())),
        ] {
            let aggregated = json(root);
            let items = aggregated["items"].as_array().expect("a list");
            assert_eq!(items.len(), groups.len());
            for (item, group) in items.iter().zip(groups) {
                assert_eq!(item["metadata"]["name"].as_str().unwrap_or_default(), group);
                for version in item["versions"].as_array().expect("a list") {
                    let legacy = json(
                        documents.resources(group, version["version"].as_str().expect("text")).expect("is served"),
                    );
                    let mut told: Vec<String> = Vec::new();
                    for resource in version["resources"].as_array().expect("a list") {
                        let name = resource["resource"].as_str().expect("text");
                        told.push(name.to_owned());
                        for sub in resource["subresources"].as_array().into_iter().flatten() {
                            told.push(format!("{name}/{}", sub["subresource"].as_str().expect("text")));
                        }
                    }
                    let listed: Vec<&str> = legacy["resources"]
                        .as_array()
                        .expect("a list")
                        .iter()
                        .filter_map(|r| r["name"].as_str())
                        .collect();
                    assert_eq!(told, listed);
                }
            }
        }
    }

    #[test]
    fn a_deployment_is_discovered_as_kubernetes_tells_it() {
        let documents = Documents::new(built_in());
        let apps = json(documents.resources("apps", "v1").expect("is served"));
        let resources = apps["resources"].as_array().expect("a list");
        let at = resources.iter().position(|resource| resource["name"] == "deployments").expect("is listed");
        let deployment = &resources[at];
        assert_eq!(
            *deployment,
            serde_json::json!({
                "name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                "shortNames": ["deploy"], "categories": ["all"],
            })
        );
        assert_eq!(resources[at + 1]["name"], "deployments/scale");
        assert_eq!(resources[at + 1]["group"], "autoscaling");
    }

    #[test]
    fn the_hash_tells_content_apart() {
        let one = Document::new(JSON, &serde_json::json!({"a": 1}));
        let same = Document::new(JSON, &serde_json::json!({"a": 1}));
        let other = Document::new(JSON, &serde_json::json!({"a": 2}));
        assert_eq!(one.etag, same.etag);
        assert_ne!(one.etag, other.etag);
    }
}
