//! Annotations and names by which ReplicaSets carry a Deployment's history.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use keelson_types::{Object, meta, names};
use sha2::{Digest, Sha256};

pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
pub const TEMPLATE_HASH: &str = "pod-template-hash";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations that a ReplicaSet has for itself.
const OWN: [&str; 5] = [LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS];
/// How many characters of revision history are kept; Kubernetes' number.
const HISTORY_BYTES_MAX: usize = 2000;

/// The revision that an object is annotated with; 0 when none.
pub fn of<K: Object>(object: &K) -> i64 {
    meta::annotation(object, REVISION).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A short word that is the same for equal templates; `collisions` makes another one when that word was taken.
pub fn template_hash(template: &PodTemplateSpec, collisions: i32) -> String {
    // The JSON of a typed template is canonical: fields in a fixed order, maps sorted.
    let json = serde_json::to_vec(template).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(&json);
    if collisions > 0 {
        hash.update(collisions.to_be_bytes());
    }
    let digest = hash.finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    names::safe_encode(&number.to_string())
}

/// Copies the Deployment's annotations, and makes the set at least `revision`; what it had before goes to its history.
pub fn on_new_set(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) {
    let before = of(set);
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    if before >= revision {
        return;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if before > 0 {
        let mut history: Vec<String> = annotations
            .get(REVISION_HISTORY)
            .map(|history| history.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect())
            .unwrap_or_default();
        history.push(before.to_string());
        while history.len() > 1 && history.join(",").len() > HISTORY_BYTES_MAX {
            history.remove(0);
        }
        annotations.insert(REVISION_HISTORY.to_owned(), history.join(","));
    }
}

/// The Deployment with the revision of its new set; absent when it has it already.
pub fn on_deployment(deployment: &Deployment, revision: i64) -> Option<Deployment> {
    let text = revision.to_string();
    if meta::annotation(deployment, REVISION) == Some(text.as_str()) {
        return None;
    }
    let mut updated = deployment.clone();
    let annotations: &mut BTreeMap<String, String> = updated.metadata.annotations.get_or_insert_default();
    annotations.insert(REVISION.to_owned(), text);
    Some(updated)
}
