//! What a pod's spec may say, in pods and in templates.

use serde_json::{Value, json};

use super::ephemeral;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::{check, resources};
use crate::meta;
use crate::names;

mod claims;
mod containers;
mod environment;
mod host;
mod mounts;
mod names_of_hosts;
mod probes;
mod projected;
pub(crate) mod scheduling;
mod security;
pub(crate) mod sources;
mod volumes;

/// What a template's spec may say.
pub(crate) fn spec(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    ephemeral::refuse(spec, path, "ephemeral containers not allowed in pod template", errors);
    of_pod(spec, path, errors);
}

/// What a pod's own spec may say.
pub(super) fn of_pod(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let volumes = volumes::validate(&spec["volumes"], &path.child("volumes"), errors);
    let claims = claims::validate(&spec["resourceClaims"], &path.child("resourceClaims"), errors);
    containers::validate(spec, &containers::Around { volumes, claims }, path, errors);
    containers::validate_resize_policies(spec, path, errors);
    ephemeral::validate(spec, path, errors);
    check::one_of(&spec["restartPolicy"], &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), errors);
    names_of_hosts::validate(spec, path, errors);
    security::of_pod(spec, &path.child("securityContext"), errors);
    host::validate(spec, path, errors);
    resources::validate_pod(spec, &path.child("resources"), errors);
    if spec["overhead"].is_object() {
        resources::validate(&json!({"limits": spec["overhead"]}), &path.child("overhead"), errors);
    }
    let policies = ["Never", "PreemptLowerPriority"];
    check::one_of(&spec["preemptionPolicy"], &policies, &path.child("preemptionPolicy"), errors);
    check::not_negative(&spec["terminationGracePeriodSeconds"], &path.child("terminationGracePeriodSeconds"), errors);
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        errors.push(Error::invalid(
            &path.child("activeDeadlineSeconds"),
            deadline.clone(),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    for (field, check) in [
        ("nodeName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("serviceAccountName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("schedulerName", names::qualified_name),
        ("priorityClassName", names::dns1123_subdomain),
        ("runtimeClassName", names::dns1123_subdomain),
    ] {
        let value = text(&spec[field]);
        if !value.is_empty() {
            check::name(value, check, &path.child(field), errors);
        }
    }
    meta::validate_labels(&spec["nodeSelector"], &path.child("nodeSelector"), errors);
    scheduling::validate(spec, path, errors);
}

/// What a pod's own spec may say when it is made, beside what it may say at any time.
pub(super) fn of_new_pod(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if items(&spec["schedulingGates"]).next().is_some() && !text(&spec["nodeName"]).is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), why));
    }
}
