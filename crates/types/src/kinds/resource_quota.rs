//! ResourceQuota: how much a namespace may have.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use super::{check, resources};
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
    for (index, scope) in items(&spec["scopes"]) {
        check::one_of(scope, &SCOPES, &scopes.index(index), errors);
    }
    let selector = path.child("scopeSelector");
    let expressions = selector.child("matchExpressions");
    for (index, expression) in items(&spec["scopeSelector"]["matchExpressions"]) {
        let path = expressions.index(index);
        check::one_of(&expression["scopeName"], &SCOPES, &path.child("scopeName"), errors);
        let operators = ["DoesNotExist", "Exists", "In", "NotIn"];
        check::one_of(&expression["operator"], &operators, &path.child("operator"), errors);
    }
    let status = Path::new("status");
    for field in ["hard", "used"] {
        resources::validate_quota(&object["status"][field], &status.child(field), errors);
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
