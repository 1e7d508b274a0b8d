//! What claims for devices and their templates share.

use serde_json::Value;

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, items_mut, text};
use crate::names;

const REQUESTS_MAX: usize = 32;
const OPTIONS_MAX: usize = 8;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
const DOMAIN_BYTES_MAX: usize = 63;
const IDENTIFIER_BYTES_MAX: usize = 32;

/// Fills in a claim's `spec`.
pub(super) fn default(spec: &mut Value) {
    let Some(devices) = child(spec, "devices") else { return };
    for request in items_mut(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").filter(|exactly| exactly.is_object()) {
            default_text(exactly, "allocationMode", "ExactCount");
            if text(&exactly["allocationMode"]) == "ExactCount" {
                default_to(exactly, "count", 1);
            }
        }
        let exactly = request.get_mut("exactly");
        exactly.into_iter().for_each(default_tolerations);
        for option in items_mut(request, "firstAvailable") {
            default_tolerations(option);
            default_text(option, "allocationMode", "ExactCount");
            if text(&option["allocationMode"]) == "ExactCount" {
                default_to(option, "count", 1);
            }
        }
    }
}

fn default_tolerations(request: &mut Value) {
    for toleration in items_mut(request, "tolerations") {
        default_text(toleration, "operator", "Equal");
    }
}

pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let path = path.child("devices");
    let spec = &spec["devices"];
    let list = path.child("requests");
    named(&spec["requests"], REQUESTS_MAX, &list, errors);
    for (index, request) in items(&spec["requests"]) {
        let path = list.index(index);
        let several = items(&request["firstAvailable"]).next().is_some();
        match (request["exactly"].is_object(), several) {
            (true, true) => {
                let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
                errors.push(Error::invalid(&path, request.clone(), why));
            }
            (false, false) => {
                errors.push(Error::required(&path, "exactly one of `exactly` or `firstAvailable` is required"));
            }
            (true, false) => one(&request["exactly"], &path.child("exactly"), errors),
            (false, true) => {
                let path = path.child("firstAvailable");
                named(&request["firstAvailable"], OPTIONS_MAX, &path, errors);
                for (index, option) in items(&request["firstAvailable"]) {
                    one(option, &path.index(index), errors);
                }
            }
        }
    }
    let list = path.child("constraints");
    at_most(&spec["constraints"], REQUESTS_MAX, &list, errors);
    for (index, constraint) in items(&spec["constraints"]) {
        let path = list.index(index);
        references(constraint, &spec["requests"], &path.child("requests"), errors);
        match ["matchAttribute", "distinctAttribute"].into_iter().find(|field| !constraint[*field].is_null()) {
            Some(field) => attribute_name(text(&constraint[field]), true, &path.child(field), errors),
            None => errors.push(Error::required(&path.child("matchAttribute"), "")),
        }
    }
    let list = path.child("config");
    at_most(&spec["config"], REQUESTS_MAX, &list, errors);
    for (index, config) in items(&spec["config"]) {
        let path = list.index(index);
        references(config, &spec["requests"], &path.child("requests"), errors);
        configuration(config, &path, errors);
    }
}

fn at_most(list: &Value, max: usize, path: &Path<'_>, errors: &mut Vec<Error>) {
    let count = items(list).count();
    if count > max {
        errors.push(Error::too_many(path, count, max));
    }
}

/// Requests, or choices within one: each with a name of its own.
fn named(list: &Value, max: usize, path: &Path<'_>, errors: &mut Vec<Error>) {
    at_most(list, max, path, errors);
    let mut seen = std::collections::HashSet::new();
    for (index, request) in items(list) {
        let path = path.index(index);
        let name = text(&request["name"]);
        if check::required(&request["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}

/// Names of requests, or of choices within them: `gpu`, `gpu/large`.
fn references(object: &Value, requests: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    const WHY: &str =
        "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let mut seen = std::collections::HashSet::new();
    at_most(&object["requests"], REQUESTS_MAX, path, errors);
    for (index, reference) in items(&object["requests"]) {
        let (name, choice) = match text(reference).split_once('/') {
            Some((name, choice)) => (name, Some(choice)),
            None => (text(reference), None),
        };
        let request = items(requests).map(|(_, request)| request).find(|request| request["name"] == name);
        let known = request.is_some_and(|request| {
            choice.is_none_or(|choice| items(&request["firstAvailable"]).any(|(_, option)| option["name"] == choice))
        });
        if !known {
            errors.push(Error::invalid(&path.index(index), reference.clone(), WHY));
        }
        if !seen.insert(text(reference)) {
            errors.push(Error::duplicate(&path.index(index), reference.clone()));
        }
    }
}

/// What a driver is told, in words of its own.
pub(super) fn configuration(config: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (opaque, path) = (&config["opaque"], path.child("opaque"));
    if !opaque.is_object() {
        errors.push(Error::required(&path, ""));
        return;
    }
    check::driver(&opaque["driver"], &path.child("driver"), errors);
    let (parameters, path) = (&opaque["parameters"], path.child("parameters"));
    match parameters {
        Value::Null => errors.push(Error::required(&path, "")),
        Value::Object(_) if parameters.to_string().len() > PARAMETERS_BYTES_MAX => {
            errors.push(Error::too_long(&path, PARAMETERS_BYTES_MAX));
        }
        Value::Object(_) => {}
        _ => errors.push(Error::invalid(&path, "<value omitted>", "parameters must be a valid JSON object")),
    }
}

/// The name of an attribute or a capacity: an identifier, behind the domain of whoever says what it means. Without a domain it
/// is the driver's own, where that is allowed.
pub(super) fn attribute_name(name: &str, qualified: bool, path: &Path<'_>, errors: &mut Vec<Error>) {
    if name.is_empty() {
        errors.push(Error::required(path, "name required"));
        return;
    }
    let (domain, identifier) = match name.split_once('/') {
        Some((domain, identifier)) => (Some(domain), identifier),
        None => (None, name),
    };
    match domain {
        None if qualified => errors.push(Error::invalid(path, name, "must include a domain")),
        None => {}
        Some("") => errors.push(Error::required(path, "the domain must not be empty")),
        Some(domain) => {
            if domain.len() > DOMAIN_BYTES_MAX {
                errors.push(Error::too_long(path, DOMAIN_BYTES_MAX));
            }
            check::name(domain, names::dns1123_subdomain, path, errors);
        }
    }
    let start = identifier.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !start || !identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let why = "a valid C identifier must start with an alphabetic character or '_', followed by alphanumeric \
                   characters or '_'";
        errors.push(Error::invalid(path, identifier, why));
    }
    if identifier.len() > IDENTIFIER_BYTES_MAX {
        errors.push(Error::too_long(path, IDENTIFIER_BYTES_MAX));
    }
}

fn one(request: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if check::required(&request["deviceClassName"], &path.child("deviceClassName"), errors) {
        let class = path.child("deviceClassName");
        check::name(text(&request["deviceClassName"]), names::dns1123_subdomain, &class, errors);
    }
    check::one_of(&request["allocationMode"], &["All", "ExactCount"], &path.child("allocationMode"), errors);
    let (count, count_path) = (&request["count"], path.child("count"));
    match text(&request["allocationMode"]) {
        "ExactCount" => check::positive(count, &count_path, errors),
        "All" if count.as_i64().is_some_and(|count| count != 0) => {
            let why = "must not be specified when allocationMode is 'All'";
            errors.push(Error::invalid(&count_path, count.clone(), why));
        }
        _ => {}
    }
    selectors(&request["selectors"], &path.child("selectors"), errors);
    let list = path.child("tolerations");
    for (index, toleration) in items(&request["tolerations"]) {
        let path = list.index(index);
        if !text(&toleration["key"]).is_empty() {
            check::name(text(&toleration["key"]), names::qualified_name, &path.child("key"), errors);
        }
        let value = text(&toleration["value"]);
        match text(&toleration["operator"]) {
            "Exists" if !value.is_empty() => {
                errors.push(Error::invalid(&path.child("value"), value, "must be empty for operator `Exists`"));
            }
            "Equal" => check::name(value, names::label_value, &path.child("value"), errors),
            "" => errors.push(Error::required(&path.child("operator"), "")),
            _ => check::one_of(&toleration["operator"], &["Equal", "Exists"], &path.child("operator"), errors),
        }
        effect(&toleration["effect"], &path.child("effect"), errors);
    }
}

/// What a taint of a device does; an absent one is somebody else's business.
pub(super) fn effect(effect: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !text(effect).is_empty() {
        check::one_of(effect, &["NoExecute", "NoSchedule", "None"], path, errors);
    }
}

pub(super) fn selectors(selectors: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    at_most(selectors, REQUESTS_MAX, path, errors);
    for (index, selector) in items(selectors) {
        let path = path.index(index);
        if !selector["cel"].is_object() {
            errors.push(Error::required(&path.child("cel"), ""));
            continue;
        }
        check::required(&selector["cel"]["expression"], &path.child("cel").child("expression"), errors);
    }
}
