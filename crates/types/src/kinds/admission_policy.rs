//! What admission policies and their bindings share.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{check, webhooks};
use crate::field::{Error, Path};
use crate::json::{child, default_text, items, items_mut, text};
use crate::table::{self, Column};

const CONDITIONS_MAX: usize = 64;

pub(super) const BINDING_COLUMNS: &[Column] = &[
    Column::NAME,
    Column::string("PolicyName", "The policy that is bound."),
    Column::string("ParamRef", "Where its parameters are."),
    Column::AGE,
];

pub(super) fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_text(spec, "failurePolicy", "Fail");
    if spec["matchConstraints"].is_object() {
        default_match(spec, "matchConstraints");
    }
}

pub(super) fn default_binding(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").filter(|spec| spec["matchResources"].is_object()) {
        default_match(spec, "matchResources");
    }
}

fn default_match(spec: &mut Value, field: &str) {
    let Some(resources) = child(spec, field) else { return };
    default_text(resources, "matchPolicy", "Equivalent");
    child(resources, "namespaceSelector");
    child(resources, "objectSelector");
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items_mut(resources, list) {
            default_text(rule, "scope", "*");
        }
    }
}

pub(super) fn validate(spec: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    check::one_of(&spec["failurePolicy"], &["Fail", "Ignore"], &path.child("failurePolicy"), errors);
    if spec["paramKind"].is_object() {
        let path = path.child("paramKind");
        for field in ["apiVersion", "kind"] {
            check::required(&spec["paramKind"][field], &path.child(field), errors);
        }
    }
    let constraints = path.child("matchConstraints");
    if !spec["matchConstraints"].is_object() {
        errors.push(Error::required(&constraints, ""));
    } else if items(&spec["matchConstraints"]["resourceRules"]).next().is_none() {
        errors.push(Error::required(&constraints.child("resourceRules"), ""));
    }
    webhooks::rules(&spec["matchConstraints"]["resourceRules"], &constraints.child("resourceRules"), errors);
    let list = path.child("variables");
    for (index, variable) in items(&spec["variables"]) {
        let path = list.index(index);
        check::required(&variable["expression"], &path.child("expression"), errors);
        if check::required(&variable["name"], &path.child("name"), errors) && !is_identifier(text(&variable["name"])) {
            let why = "name is not a valid CEL identifier";
            errors.push(Error::invalid(&path.child("name"), variable["name"].clone(), why));
        }
    }
    match_conditions(&spec["matchConditions"], &path.child("matchConditions"), errors);
}

fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// What must hold for a policy or a webhook to be asked at all.
pub(super) fn match_conditions(conditions: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let count = items(conditions).count();
    if count > CONDITIONS_MAX {
        errors.push(Error::too_many(path, count, CONDITIONS_MAX));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, condition) in items(conditions) {
        let path = path.index(index);
        let name = text(&condition["name"]);
        check::required(&condition["expression"], &path.child("expression"), errors);
        if check::required(&condition["name"], &path.child("name"), errors) {
            check::name(name, crate::names::qualified_name, &path.child("name"), errors);
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
    }
}

pub(super) fn validate_binding(spec: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    check::required(&spec["policyName"], &path.child("policyName"), errors);
    let parameters = &spec["paramRef"];
    if parameters.is_object() {
        let path = path.child("paramRef");
        match (text(&parameters["name"]).is_empty(), parameters["selector"].is_object()) {
            (true, false) => errors.push(Error::required(&path, "one of name or selector must be specified")),
            (false, true) => {
                errors.push(Error::forbidden(&path.child("name"), "name and selector are mutually exclusive"));
            }
            _ => {}
        }
        let action = path.child("parameterNotFoundAction");
        if parameters["parameterNotFoundAction"].is_null() {
            errors.push(Error::required(&action, ""));
        }
        check::one_of(&parameters["parameterNotFoundAction"], &["Allow", "Deny"], &action, errors);
    }
}

pub(super) fn cells(object: &Value, expressions: usize, now: Timestamp) -> Vec<Value> {
    let parameters = &object["spec"]["paramKind"];
    let parameters = match parameters.is_object() {
        true => format!("{}/{}", text(&parameters["apiVersion"]), text(&parameters["kind"])),
        false => "<unset>".to_owned(),
    };
    vec![table::name(object), json!(expressions), json!(parameters), table::object_age(object, now)]
}

pub(super) fn binding_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let parameters = &spec["paramRef"];
    let shown = match (text(&parameters["namespace"]), text(&parameters["name"])) {
        _ if !parameters.is_object() => "<unset>".to_owned(),
        ("", "") => "*".to_owned(),
        ("", name) => name.to_owned(),
        (namespace, "") => format!("{namespace}/*"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![table::name(object), json!(text(&spec["policyName"])), json!(shown), table::object_age(object, now)]
}
