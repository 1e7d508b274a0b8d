//! ResourceQuota: how much a namespace may have.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use super::resources;
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

pub static KIND: Kind = Kind {
    short_names: &["quota"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Request", "Requests and counts: what is used, and how much there may be."),
        Column::string("Limit", "Limits: what is used, and how much there may be."),
        Column::AGE,
    ],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<ResourceQuota>() },
    ..Kind::namespaced::<ResourceQuota>("resourcequota")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    resources::validate_quota(&spec["hard"], &path.child("hard"), errors);
    let scopes = path.child("scopes");
    let listed: Vec<&str> = items(&spec["scopes"]).map(|(_, scope)| text(scope)).collect();
    validate_scopes(spec, &listed, &spec["scopes"], &scopes, errors);
    let selector = path.child("scopeSelector");
    let expressions = selector.child("matchExpressions");
    for (_, expression) in items(&spec["scopeSelector"]["matchExpressions"]) {
        validate_expression(expression, &expressions, errors);
    }
    let listed: Vec<&str> = items(&spec["scopeSelector"]["matchExpressions"])
        .map(|(_, expression)| text(&expression["scopeName"]))
        .collect();
    validate_scopes(spec, &listed, &spec["scopeSelector"], &expressions, errors);
    let status = Path::new("status");
    for field in ["hard", "used"] {
        resources::validate_quota(&object["status"][field], &status.child(field), errors);
    }
}

/// Scopes that are known, fit each other, and fit what is counted.
fn validate_scopes(spec: &Value, scopes: &[&str], shown: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for scope in scopes {
        if !SCOPES.contains(scope) {
            errors.push(Error::invalid(path, shown.clone(), "unsupported scope"));
        }
        for (resource, _) in entries(&spec["hard"]) {
            if resources::is_counted_by_quotas(resource) && !fits(scope, resource) {
                errors.push(Error::invalid(path, shown.clone(), "unsupported scope applied to resource"));
            }
        }
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("NotTerminating", "Terminating")] {
        if scopes.contains(&one) && scopes.contains(&other) {
            errors.push(Error::invalid(path, shown.clone(), "conflicting scopes"));
        }
    }
}

/// Whether a scope says anything of a resource: most of them are about pods and what they request.
fn fits(scope: &str, resource: &str) -> bool {
    let plain = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits.")).unwrap_or(resource);
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ if SCOPES.contains(&scope) => resource == "pods" || matches!(plain, "cpu" | "memory"),
        _ => true,
    }
}

/// Kubernetes tells where the expressions are, not which of them is wrong.
fn validate_expression(expression: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (scope, operator) = (text(&expression["scopeName"]), text(&expression["operator"]));
    let values = path.child("values");
    let some = items(&expression["values"]).next().is_some();
    if SCOPES.contains(&scope) && !matches!(scope, "PriorityClass" | "VolumeAttributesClass") && operator != "Exists" {
        let why = format!("must be 'Exists' when scope is {scope}");
        errors.push(Error::invalid(&path.child("operator"), operator, why));
    }
    match operator {
        "In" | "NotIn" if !some => {
            let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(Error::required(&values, why));
        }
        "Exists" | "DoesNotExist" if some => {
            let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(Error::invalid(&values, expression["values"].clone(), why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path.child("scopes"), &new["spec"]["scopes"], &old["spec"]["scopes"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in entries(&status["hard"]) {
        let used = status["used"].get(resource).map_or("0", |used| text(used));
        let list = if resource.starts_with("limits") { &mut limits } else { &mut requests };
        list.push(format!("{resource}: {used}/{}", text(hard)));
    }
    vec![table::name(object), json!(requests.join(", ")), json!(limits.join(", ")), table::object_age(object, now)]
}
