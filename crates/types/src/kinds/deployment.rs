//! Deployment: pods from a template, rolled over to a new one without a gap.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::{check, pod, workload};
use crate::field::{Error, Path};
use crate::int_or_string::percent;
use crate::json::{child, default_text, default_to, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::merge::{Rules, by, retain_keys};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    list_kind: "DeploymentList",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    namespaced: true,
    status: true,
    scale: true,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Ready", "Number of the pod with ready state"),
        Column::string(
            "Up-to-date",
            "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
        ),
        Column::string(
            "Available",
            "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment.",
        ),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        workload::SELECTOR,
    ],
    selectable_fields: &[],
    merge_rules: &[
        Rules { prefix: "spec", rules: &[("strategy", retain_keys())] },
        Rules { prefix: "spec.template.spec", rules: pod::MERGE_RULES },
        Rules { prefix: "status", rules: &[("conditions", by("type"))] },
    ],
    behaviour: Behaviour {
        counts_generation: true,
        warn: workload::warn,
        default,
        validate,
        validate_update: workload::validate_update,
        cells,
        ..Behaviour::of::<Deployment>()
    },
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_to(spec, "replicas", 1);
    default_to(spec, "revisionHistoryLimit", 10);
    default_to(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = child(spec, "strategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(&strategy["type"]) == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            default_to(rolling, "maxUnavailable", "25%");
            default_to(rolling, "maxSurge", "25%");
        }
    }
    workload::default_template(spec);
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::not_negative(&spec["replicas"], &path.child("replicas"), errors);
    workload::validate(spec, "deployment", errors);
    validate_strategy(&spec["strategy"], &path.child("strategy"), errors);
    check::not_negative(&spec["minReadySeconds"], &path.child("minReadySeconds"), errors);
    check::not_negative(&spec["revisionHistoryLimit"], &path.child("revisionHistoryLimit"), errors);
    check::not_negative(&spec["progressDeadlineSeconds"], &path.child("progressDeadlineSeconds"), errors);
    let min_ready = spec["minReadySeconds"].as_i64().unwrap_or(0);
    if let Some(deadline) = spec["progressDeadlineSeconds"].as_i64().filter(|deadline| *deadline <= min_ready) {
        errors.push(Error::invalid(
            &path.child("progressDeadlineSeconds"),
            deadline,
            "must be greater than minReadySeconds",
        ));
    }
}

fn validate_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let rolling = &strategy["rollingUpdate"];
    let rolling_path = path.child("rollingUpdate");
    match text(&strategy["type"]) {
        "Recreate" => {
            if rolling.is_object() {
                errors.push(Error::forbidden(&rolling_path, "may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            for field in ["maxUnavailable", "maxSurge"] {
                check::share(&rolling[field], &rolling_path.child(field), errors);
            }
            if check::is_nothing(&rolling["maxUnavailable"]) && check::is_nothing(&rolling["maxSurge"]) {
                errors.push(Error::invalid(
                    &rolling_path.child("maxUnavailable"),
                    rolling["maxUnavailable"].clone(),
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
            if rolling["maxUnavailable"].as_str().and_then(percent).is_some_and(|percent| percent > 100) {
                errors.push(Error::invalid(
                    &rolling_path.child("maxUnavailable"),
                    rolling["maxUnavailable"].clone(),
                    "must not be greater than 100%",
                ));
            }
        }
        other => errors.push(Error::not_supported(&path.child("type"), other, &["Recreate", "RollingUpdate"])),
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    let [containers, images, selector] = workload::wide_cells(object);
    vec![
        table::name(object),
        json!(format!("{}/{}", count(&status["readyReplicas"]), count(&object["spec"]["replicas"]))),
        json!(count(&status["updatedReplicas"])),
        json!(count(&status["availableReplicas"])),
        table::object_age(object, now),
        containers,
        images,
        selector,
    ]
}

#[cfg(test)]
mod tests;
