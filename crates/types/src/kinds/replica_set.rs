//! ReplicaSet: a number of equal pods.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};

use super::{check, workload};
use crate::field::{Error, Path};
use crate::json::{child, default_to};
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    list_kind: "ReplicaSetList",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    namespaced: true,
    status: true,
    scale: true,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::integer("Desired", "Replicas is the number of desired pods."),
        Column::integer("Current", "Replicas is the most recently observed number of non-terminating pods."),
        Column::integer(
            "Ready",
            "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.",
        ),
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
        validate_update: workload::validate_update,
        cells,
        ..Behaviour::of::<ReplicaSet>()
    },
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_to(spec, "replicas", 1);
    workload::default_template(spec);
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::not_negative(&spec["replicas"], &path.child("replicas"), errors);
    check::not_negative(&spec["minReadySeconds"], &path.child("minReadySeconds"), errors);
    workload::validate(spec, "replicaset", errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let count = |value: &Value| json!(value.as_i64().unwrap_or(0));
    let [containers, images, selector] = workload::wide_cells(object);
    vec![
        table::name(object),
        count(&object["spec"]["replicas"]),
        count(&status["replicas"]),
        count(&status["readyReplicas"]),
        table::object_age(object, now),
        containers,
        images,
        selector,
    ]
}
