//! What may change about a pod once it exists: almost nothing.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, items_mut, text};

const FORBIDDEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let (new, old) = (&new["spec"], &old["spec"]);
    if new == old {
        return;
    }
    for list in ["containers", "initContainers"] {
        if items(&new[list]).count() != items(&old[list]).count() {
            errors.push(Error::forbidden(&path.child(list), "pod updates may not add or remove containers"));
            return;
        }
    }
    validate_deadline(new, old, &path, errors);
    validate_tolerations(new, old, &path.child("tolerations"), errors);
    validate_gates(new, old, &path.child("schedulingGates"), errors);

    // What may change is made equal; anything that still differs may not.
    let mut candidate = new.clone();
    for list in ["containers", "initContainers"] {
        for (container, (_, before)) in items_mut(&mut candidate, list).zip(items(&old[list])) {
            copy(container, before, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        copy(&mut candidate, old, field);
    }
    if old["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0)
        && new["terminationGracePeriodSeconds"].as_i64() == Some(1)
    {
        copy(&mut candidate, old, "terminationGracePeriodSeconds");
    }
    // Before it is scheduled, a gated pod may be told where to go.
    if items(&old["schedulingGates"]).next().is_some() {
        copy(&mut candidate, old, "nodeSelector");
        copy(&mut candidate, old, "affinity");
    }
    if candidate != *old {
        errors.push(Error::forbidden(&path, FORBIDDEN));
    }
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    crate::meta::keep(to, from, field);
}

/// A deadline may come closer, and one may be set.
fn validate_deadline(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let path = path.child("activeDeadlineSeconds");
    match (new["activeDeadlineSeconds"].as_i64(), old["activeDeadlineSeconds"].as_i64()) {
        (Some(new), Some(old)) if new > old => {
            errors.push(Error::invalid(&path, new, format!("must be less than or equal to previous value {old}")));
        }
        (None, Some(old)) => {
            errors.push(Error::invalid(
                &path,
                Value::Null,
                format!("must not update from a positive integer to nil value {old}"),
            ));
        }
        _ => {}
    }
}

fn validate_tolerations(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let without_seconds = |toleration: &Value| {
        let mut plain = toleration.clone();
        copy(&mut plain, &Value::Null, "tolerationSeconds");
        plain
    };
    let kept: Vec<Value> = items(&new["tolerations"]).map(|(_, toleration)| without_seconds(toleration)).collect();
    let all_kept = items(&old["tolerations"]).all(|(_, toleration)| kept.contains(&without_seconds(toleration)));
    if !all_kept {
        errors.push(Error::forbidden(path, "existing toleration can not be modified except its tolerationSeconds"));
    }
}

fn validate_gates(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (_, gate) in items(&new["schedulingGates"]) {
        if !items(&old["schedulingGates"]).any(|(_, before)| before["name"] == gate["name"]) {
            errors.push(Error::forbidden(
                path,
                format!("only deletion is allowed, but found new scheduling gate '{}'", text(&gate["name"])),
            ));
        }
    }
}
