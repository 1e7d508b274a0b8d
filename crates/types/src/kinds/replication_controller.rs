//! ReplicationController: what ReplicaSets were before they could select by expressions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ReplicationController;
use serde_json::{Value, json};

use super::{check, pod, workload};
use crate::field::{Error, Path};
use crate::json::{child, default_to, entries, set};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["rc"],
    categories: &["all"],
    status: true,
    scale: true,
    columns: &[
        Column::NAME,
        Column::integer("Desired", "How many pods there should be."),
        Column::integer("Current", "How many pods there are."),
        Column::integer("Ready", "How many of them are ready."),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        workload::SELECTOR,
    ],
    selectable_fields: &[("status.replicas", "0")],
    merge_rules: workload::MERGE_RULES,
    behaviour: Behaviour {
        counts_generation: true,
        warn: workload::warn,
        default,
        validate,
        cells,
        ..Behaviour::of::<ReplicationController>()
    },
    ..Kind::namespaced::<ReplicationController>("replicationcontroller")
};

/// Selector and labels are those of the template, unless they are given.
fn default(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if entries(&labels).next().is_some() {
        if entries(&object["metadata"]["labels"]).next().is_none()
            && let Some(metadata) = child(object, "metadata")
        {
            set(metadata, "labels", labels.clone());
        }
        if entries(&object["spec"]["selector"]).next().is_none()
            && let Some(spec) = child(object, "spec")
        {
            set(spec, "selector", labels);
        }
    }
    let Some(spec) = child(object, "spec") else { return };
    default_to(spec, "replicas", 1);
    workload::default_template(spec);
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::not_negative(&spec["minReadySeconds"], &path.child("minReadySeconds"), errors);
    check::not_negative(&spec["replicas"], &path.child("replicas"), errors);
    if entries(&spec["selector"]).next().is_none() {
        errors.push(Error::required(&path.child("selector"), ""));
    }
    meta::validate_labels(&spec["selector"], &path.child("selector"), errors);
    let template_path = path.child("template");
    let template = &spec["template"];
    if !template.is_object() {
        errors.push(Error::required(&template_path, ""));
        return;
    }
    let labels = &template["metadata"]["labels"];
    let metadata = template_path.child("metadata");
    if entries(&spec["selector"]).any(|(key, value)| labels[key] != *value) {
        let why = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&metadata.child("labels"), labels.clone(), why));
    }
    meta::validate_labels(labels, &metadata.child("labels"), errors);
    let pod_path = template_path.child("spec");
    pod::validation::spec(&template["spec"], &pod_path, errors);
    if let Some(policy) = template["spec"]["restartPolicy"].as_str().filter(|policy| *policy != "Always") {
        errors.push(Error::not_supported(&pod_path.child("restartPolicy"), policy, &["Always"]));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = |value: &Value| json!(value.as_i64().unwrap_or(0));
    let [containers, images, _] = workload::wide_cells(object);
    vec![
        table::name(object),
        count(&object["spec"]["replicas"]),
        count(&object["status"]["replicas"]),
        count(&object["status"]["readyReplicas"]),
        table::object_age(object, now),
        containers,
        images,
        table::labels(&object["spec"]["selector"]),
    ]
}
