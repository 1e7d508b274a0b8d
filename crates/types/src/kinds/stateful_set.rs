//! StatefulSet: pods with a number each, that keep their names and their volumes.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use super::{check, persistent_volume_claim, workload};
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, items_mut, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};

/// What may change after the creation.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub static KIND: Kind = Kind {
    short_names: &["sts"],
    categories: &["all"],
    status: true,
    scale: true,
    columns: &[
        Column::NAME,
        Column::string("Ready", "Number of the pod with ready state"),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
    ],
    merge_rules: workload::MERGE_RULES,
    behaviour: Behaviour {
        counts_generation: true,
        warn: workload::warn,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<StatefulSet>()
    },
    ..Kind::namespaced::<StatefulSet>("statefulset")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_text(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child(spec, "updateStrategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(&strategy["type"]) == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            default_to(rolling, "partition", 0);
        }
    }
    if let Some(policy) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        default_text(policy, "whenDeleted", "Retain");
        default_text(policy, "whenScaled", "Retain");
    }
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    workload::default_template(spec);
    for claim in items_mut(spec, "volumeClaimTemplates") {
        default_text(claim, "apiVersion", "v1");
        default_text(claim, "kind", "PersistentVolumeClaim");
        persistent_volume_claim::default(claim);
        if let Some(status) = child(claim, "status") {
            default_text(status, "phase", "Pending");
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let management = path.child("podManagementPolicy");
    check::one_of(&spec["podManagementPolicy"], &["OrderedReady", "Parallel"], &management, errors);
    let strategy = path.child("updateStrategy");
    check::one_of(&spec["updateStrategy"]["type"], &["RollingUpdate", "OnDelete"], &strategy.child("type"), errors);
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    let rolling_path = strategy.child("rollingUpdate");
    if text(&spec["updateStrategy"]["type"]) == "OnDelete" && rolling.is_object() {
        errors.push(Error::invalid(&rolling_path, rolling.clone(), "only allowed for updateStrategy 'RollingUpdate'"));
    }
    check::not_negative(&rolling["partition"], &rolling_path.child("partition"), errors);
    check::share(&rolling["maxUnavailable"], &rolling_path.child("maxUnavailable"), errors);
    let retention = path.child("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        let policy = &spec["persistentVolumeClaimRetentionPolicy"][field];
        check::one_of(policy, &["Retain", "Delete"], &retention.child(field), errors);
    }
    check::not_negative(&spec["replicas"], &path.child("replicas"), errors);
    check::not_negative(&spec["minReadySeconds"], &path.child("minReadySeconds"), errors);
    check::not_negative(&spec["revisionHistoryLimit"], &path.child("revisionHistoryLimit"), errors);
    check::not_negative(&spec["ordinals"]["start"], &path.child("ordinals").child("start"), errors);
    let name = text(&spec["serviceName"]);
    if !name.is_empty() {
        check::name(name, crate::names::dns1123_label, &path.child("serviceName"), errors);
    }
    // Claims become volumes of the pods under the same names.
    let mut with_claims = spec.clone();
    if let Some(pod) = child(&mut with_claims, "template").and_then(|template| child(template, "spec")) {
        let claims: Vec<Value> = items(&spec["volumeClaimTemplates"])
            .map(|(_, claim)| {
                let name = &claim["metadata"]["name"];
                json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
            })
            .filter(|claim| !items(&pod["volumes"]).any(|(_, volume)| volume["name"] == claim["name"]))
            .collect();
        if !claims.is_empty() {
            let mut volumes = pod["volumes"].as_array().cloned().unwrap_or_default();
            volumes.extend(claims);
            crate::json::set(pod, "volumes", volumes);
        }
    }
    workload::validate(&with_claims, "statefulset", errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let without = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        prune(&mut spec);
        spec
    };
    if without(new) != without(old) {
        errors.push(Error::forbidden(
            &Path::new("spec"),
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}

/// Drops what says as much as its absence does.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|field, value| {
            prune(value);
            match value {
                Value::Null => false,
                // An empty class is a choice; no class leaves it open.
                Value::String(text) => !text.is_empty() || field == "storageClassName",
                Value::Array(items) => !items.is_empty(),
                _ => true,
            }
        }),
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    let [containers, images, _] = workload::wide_cells(object);
    vec![
        table::name(object),
        json!(format!("{}/{}", count(&object["status"]["readyReplicas"]), count(&object["spec"]["replicas"]))),
        table::object_age(object, now),
        containers,
        images,
    ]
}
