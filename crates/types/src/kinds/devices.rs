//! What claims for devices and their templates share.

use serde_json::Value;

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, items_mut, text};
use crate::names;

const REQUESTS_MAX: usize = 32;

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
        for option in items_mut(request, "firstAvailable") {
            default_text(option, "allocationMode", "ExactCount");
            if text(&option["allocationMode"]) == "ExactCount" {
                default_to(option, "count", 1);
            }
        }
    }
}

pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let devices = path.child("devices");
    let requests = devices.child("requests");
    let count = items(&spec["devices"]["requests"]).count();
    if count > REQUESTS_MAX {
        errors.push(Error::too_many(&requests, count, REQUESTS_MAX));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, request) in items(&spec["devices"]["requests"]) {
        let path = requests.index(index);
        let name = text(&request["name"]);
        if check::required(&request["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        let several = items(&request["firstAvailable"]).next().is_some();
        match (request["exactly"].is_object(), several) {
            (true, true) => {
                let why = "exactly one of `exactly` or `firstAvailable` must be specified";
                errors.push(Error::invalid(&path, request.clone(), why));
            }
            (false, false) => {
                errors.push(Error::required(&path, "exactly one of `exactly` or `firstAvailable` is required"));
            }
            (true, false) => one(&request["exactly"], &path.child("exactly"), errors),
            (false, true) => {
                let path = path.child("firstAvailable");
                for (index, option) in items(&request["firstAvailable"]) {
                    one(option, &path.index(index), errors);
                }
            }
        }
    }
}

fn one(request: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::required(&request["deviceClassName"], &path.child("deviceClassName"), errors);
    check::one_of(&request["allocationMode"], &["All", "ExactCount"], &path.child("allocationMode"), errors);
    if text(&request["allocationMode"]) == "ExactCount" {
        check::positive(&request["count"], &path.child("count"), errors);
    }
    selectors(&request["selectors"], &path.child("selectors"), errors);
}

pub(super) fn selectors(selectors: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (index, selector) in items(selectors) {
        let path = path.index(index);
        check::required(&selector["cel"]["expression"], &path.child("cel").child("expression"), errors);
    }
}
