//! Job: pods that run to their end.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::workload;
use crate::duration_human;
use crate::json::{child, default_text, default_to, entries, items, items_mut, set, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

mod policy;
pub(super) mod validation;

const RETRIES: i32 = 6;
/// Labels by which a Job knows its pods, the older names among them.
pub(crate) const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

pub static KIND: Kind = Kind {
    categories: &["all"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Status", "Whether the job runs, is suspended, is complete or has failed."),
        Column::string("Completions", "How many pods have succeeded, of how many."),
        Column::string("Duration", "How long the job took, or has taken until now."),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        workload::SELECTOR,
    ],
    selectable_fields: &[("status.successful", "0")],
    merge_rules: workload::MERGE_RULES,
    behaviour: Behaviour {
        counts_generation: true,
        warn: workload::warn,
        default,
        prepare_create,
        validate: validation::validate,
        validate_update: validation::validate_update,
        cells,
        ..Behaviour::of::<Job>()
    },
    ..Kind::namespaced::<Job>("job")
};

fn default(object: &mut Value) {
    default_labels(object);
    let Some(spec) = child(object, "spec") else { return };
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        default_to(spec, "completions", 1);
    }
    default_to(spec, "parallelism", 1);
    // Indexes that count their own failures need no common limit.
    let retries = if spec["backoffLimitPerIndex"].is_null() { RETRIES } else { i32::MAX };
    default_to(spec, "backoffLimit", retries);
    default_text(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
    let replacement = if spec["podFailurePolicy"].is_object() { "Failed" } else { "TerminatingOrFailed" };
    default_text(spec, "podReplacementPolicy", replacement);
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for condition in items_mut(rule, "onPodConditions") {
                default_text(condition, "status", "True");
            }
        }
    }
    workload::default_template(spec);
}

/// A Job without labels has those of its pods.
fn default_labels(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if entries(&labels).next().is_some()
        && entries(&object["metadata"]["labels"]).next().is_none()
        && let Some(metadata) = child(object, "metadata")
    {
        set(metadata, "labels", labels);
    }
}

/// A Job that brings no selector gets one by its UID, and its pods the labels for it.
fn prepare_create(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
    let Some(spec) = child(object, "spec") else { return };
    let labels = child(spec, "template").and_then(|template| child(template, "metadata"));
    if let Some(labels) = labels.and_then(|metadata| child(metadata, "labels")) {
        for (label, value) in UID_LABELS.map(|label| (label, &uid)).into_iter().chain(NAME_LABELS.map(|l| (l, &name))) {
            default_to(labels, label, value.clone());
        }
    }
    if let Some(selector) = child(spec, "selector").and_then(|selector| child(selector, "matchLabels")) {
        default_to(selector, UID_LABELS[0], uid);
    }
    default_labels(object);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = status["succeeded"].as_i64().unwrap_or(0);
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64().unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let [containers, images, selector] = workload::wide_cells(object);
    vec![
        table::name(object),
        json!(state(object)),
        json!(completions),
        json!(duration(status, now)),
        table::object_age(object, now),
        containers,
        images,
        selector,
    ]
}

fn state(object: &Value) -> &'static str {
    let is = |word: &str| {
        items(&object["status"]["conditions"])
            .any(|(_, condition)| condition["type"] == word && condition["status"] == "True")
    };
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if !object["metadata"]["deletionTimestamp"].is_null() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn duration(status: &Value, now: Timestamp) -> String {
    let time = |field: &str| text(&status[field]).parse::<Timestamp>().ok();
    let Some(start) = time("startTime") else { return String::new() };
    let end = time("completionTime").unwrap_or(now);
    duration_human(SignedDuration::from_secs(end.duration_since(start).as_secs()))
}

/// What may not change once a Job exists.
pub(super) fn immutable(new: &Value, old: &Value, field: &str, errors: &mut Vec<crate::field::Error>) {
    let path = crate::field::Path::new("spec");
    meta::immutable(&path.child(field), &new["spec"][field], &old["spec"][field], errors);
}
