//! What a Job may say, alone and as the template of a CronJob.

use serde_json::{Value, json};

use super::{NAME_LABELS, UID_LABELS, immutable, policy};
use crate::field::{Error, Path};
use crate::json::{set, text};
use crate::kinds::{check, pod};
use crate::meta;

/// Indexes of an indexed job with many pods at once.
const COMPLETIONS_MAX: i64 = 100_000;

const MANAGER_BYTES_MAX: usize = 63;

pub(super) fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    if !spec["selector"].is_object() {
        errors.push(Error::required(&path.child("selector"), ""));
    } else {
        check::label_selector(&spec["selector"], &path.child("selector"), errors);
        let labels = &spec["template"]["metadata"]["labels"];
        if !check::selects(&spec["selector"], labels) {
            let template = path.child("template");
            let metadata = template.child("metadata");
            let labels_path = metadata.child("labels");
            errors.push(Error::invalid(&labels_path, labels.clone(), "`selector` does not match template `labels`"));
        }
    }
    let uid = &object["metadata"]["uid"];
    if spec["manualSelector"] != true && !text(uid).is_empty() && spec["selector"].is_object() {
        // What is made for the Job, whatever labels its template has: a selector must not reach the pods of another.
        let mut own = json!({});
        for (labels, value) in [(UID_LABELS, uid), (NAME_LABELS, &object["metadata"]["name"])] {
            for label in labels {
                set(&mut own, label, value.clone());
            }
        }
        if !check::selects(&spec["selector"], &own) {
            let shown = spec["selector"].clone();
            errors.push(Error::invalid(&path.child("selector"), shown, "`selector` not auto-generated"));
        }
    }
    self::spec(spec, &path, errors);
}

/// Everything but the selector.
pub(crate) fn spec(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        check::not_negative(&spec[field], &path.child(field), errors);
    }
    check::not_negative(&spec["backoffLimitPerIndex"], &path.child("backoffLimitPerIndex"), errors);
    check::not_negative(&spec["maxFailedIndexes"], &path.child("maxFailedIndexes"), errors);
    let mode = path.child("completionMode");
    check::one_of(&spec["completionMode"], &["NonIndexed", "Indexed"], &mode, errors);
    if text(&spec["completionMode"]) == "Indexed" {
        match spec["completions"].as_i64() {
            None => errors.push(Error::required(&path.child("completions"), "when completion mode is Indexed")),
            Some(completions) if completions > COMPLETIONS_MAX && spec["parallelism"].as_i64() > Some(10_000) => {
                errors.push(Error::invalid(
                    &path.child("parallelism"),
                    spec["parallelism"].clone(),
                    "must be less than or equal to 10000 when completions is greater than 100000",
                ));
            }
            Some(_) => {}
        }
    } else if !spec["backoffLimitPerIndex"].is_null() {
        errors.push(Error::invalid(
            &path.child("backoffLimitPerIndex"),
            spec["backoffLimitPerIndex"].clone(),
            "requires indexed completion mode",
        ));
    }
    let replacement = path.child("podReplacementPolicy");
    check::one_of(&spec["podReplacementPolicy"], &["TerminatingOrFailed", "Failed"], &replacement, errors);
    if let Some(manager) = spec["managedBy"].as_str() {
        let path = path.child("managedBy");
        check::domain_prefixed(manager, &path, errors);
        if manager.len() > MANAGER_BYTES_MAX {
            errors.push(Error::too_long(&path, MANAGER_BYTES_MAX));
        }
    }
    policy::failure(spec, path, errors);
    policy::success(spec, path, errors);
    if let Some(failed) = spec["maxFailedIndexes"].as_i64() {
        if spec["backoffLimitPerIndex"].is_null() {
            errors.push(Error::required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
        }
        if spec["completions"].as_i64().is_some_and(|completions| failed > completions) {
            let why = "must be less than or equal to completions";
            errors.push(Error::invalid(&path.child("maxFailedIndexes"), failed, why));
        }
    }
    template(&spec["template"], &path.child("template"), errors);
}

fn template(template: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let metadata = path.child("metadata");
    meta::validate_labels(&template["metadata"]["labels"], &metadata.child("labels"), errors);
    let annotations = &template["metadata"]["annotations"];
    meta::validate_annotations(annotations, &metadata.child("annotations"), errors);
    let pod_path = path.child("spec");
    pod::validation::spec(&template["spec"], &pod_path, errors);
    if let Some(policy) = template["spec"]["restartPolicy"].as_str().filter(|policy| *policy == "Always") {
        errors.push(Error::not_supported(&pod_path.child("restartPolicy"), policy, &["OnFailure", "Never"]));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    for field in
        ["selector", "completionMode", "podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "managedBy"]
    {
        immutable(new, old, field, errors);
    }
    let (new_spec, old_spec) = (&new["spec"], &old["spec"]);
    // An indexed job may grow and shrink, as long as all its indexes run at once.
    let elastic = text(&new_spec["completionMode"]) == "Indexed"
        && new_spec["completions"] == new_spec["parallelism"]
        && old_spec["completions"] == old_spec["parallelism"];
    if !elastic {
        immutable(new, old, "completions", errors);
    }
    let suspended = old_spec["suspend"] == true && old["status"]["startTime"].is_null();
    let (mut wanted, mut had) = (new_spec["template"].clone(), old_spec["template"].clone());
    if suspended {
        // Until it starts, whoever queues jobs may still say where the pods go.
        for template in [&mut wanted, &mut had] {
            for part in ["labels", "annotations"] {
                crate::json::set(&mut template["metadata"], part, Value::Null);
            }
            for part in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                crate::json::set(&mut template["spec"], part, Value::Null);
            }
        }
    }
    if wanted != had {
        let path = Path::new("spec");
        errors.push(Error::invalid(&path.child("template"), new_spec["template"].clone(), "field is immutable"));
    }
}
