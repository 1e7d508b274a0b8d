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

const VERSION: &str = "v1.36.0";

fn documents() -> Documents {
    Documents::new(registry::built_in(), VERSION, None)
}

fn content(documents: &Documents, group: &str, version: &str) -> Value {
    let document = documents.find(group, version).expect("is served").make(VERSION);
    serde_json::from_slice(&document.body).expect("documents are JSON")
}

#[test]
fn kubectl_finds_server_side_validation_for_every_kind() {
    let documents = documents();
    for kind in registry::all().iter().filter(|kind| !kind.is_answered() && !kind.is_observed()) {
        let document = content(&documents, kind.group, kind.version);
        assert!(validates_on_the_server(&document, kind), "{}", kind.kind);
    }
}

#[tokio::test]
async fn the_index_names_every_document_by_its_hash() {
    let (documents, single) = (Arc::new(documents()), Single::new());
    let index = documents.index(&single).await.expect("is made");
    let index: Value = serde_json::from_slice(&index.body).expect("documents are JSON");
    let core = documents.group_version("", "v1", &single).await.expect("is made").expect("is served");
    assert_eq!(index["paths"]["api/v1"]["serverRelativeURL"], format!("/openapi/v3/api/v1?hash={}", core.hash()));
    assert!(index["paths"]["apis/apps/v1"].is_object());
    assert!(documents.group_version("apps", "v0", &single).await.expect("is made").is_none());
}

#[tokio::test]
async fn only_documents_that_somebody_asked_for_are_kept() {
    let kept = |documents: &Documents| -> Vec<&str> {
        let made = documents.group_versions.iter().filter(|one| one.document.get().is_some());
        made.map(|one| one.group).collect()
    };
    let (before, single) = (Arc::new(documents()), Single::new());
    assert_eq!(kept(&before), [""; 0]);
    let apps = before.group_version("apps", "v1", &single).await.expect("is made").expect("is served");
    before.index(&single).await.expect("is made");
    assert_eq!(kept(&before), ["apps"]);
    let after = Documents::new(registry::built_in(), VERSION, Some(&before));
    let again = after.group_version("apps", "v1", &single).await.expect("is made").expect("is served");
    assert!(Arc::ptr_eq(&apps, &again), "its kinds are the same");
}

#[test]
fn every_field_is_told_with_its_type() {
    let apps = content(&documents(), "apps", "v1");
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
    for one in &documents().group_versions {
        let document: Value = serde_json::from_slice(&one.make(VERSION).body).expect("documents are JSON");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
