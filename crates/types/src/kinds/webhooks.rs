//! What validating and mutating webhooks share.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{admission_policy, check};
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, items_mut, text};
use crate::table::{self, Column};

const SECONDS: i64 = 10;
const SECONDS_MAX: i64 = 30;
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

pub(super) const COLUMNS: &[Column] =
    &[Column::NAME, Column::integer("Webhooks", "How many webhooks there are."), Column::AGE];

pub(super) fn default(object: &mut Value, mutating: bool) {
    for webhook in items_mut(object, "webhooks") {
        default_text(webhook, "failurePolicy", "Fail");
        default_text(webhook, "matchPolicy", "Equivalent");
        child(webhook, "namespaceSelector");
        child(webhook, "objectSelector");
        default_to(webhook, "timeoutSeconds", SECONDS);
        if mutating {
            default_text(webhook, "reinvocationPolicy", "Never");
        }
        if let Some(service) = webhook.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
            default_to(service, "port", 443);
        }
        for rule in items_mut(webhook, "rules") {
            default_text(rule, "scope", "*");
        }
    }
}

pub(super) fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("webhooks");
    let mut seen = std::collections::HashSet::new();
    for (index, webhook) in items(&object["webhooks"]) {
        let path = path.index(index);
        let name = text(&webhook["name"]);
        if check::required(&webhook["name"], &path.child("name"), errors) {
            check::name(name, crate::names::dns1123_subdomain, &path.child("name"), errors);
            if name.split('.').count() < 3 {
                let why = "should be a domain with at least three segments separated by dots";
                errors.push(Error::invalid(&path.child("name"), name, why));
            }
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        let versions = path.child("admissionReviewVersions");
        if items(&webhook["admissionReviewVersions"]).next().is_none() {
            let why = "must specify one of v1, v1beta1";
            errors.push(Error::required(&versions, why));
        } else if !items(&webhook["admissionReviewVersions"])
            .any(|(_, version)| matches!(text(version), "v1" | "v1beta1"))
        {
            let why = "must include at least one of v1, v1beta1";
            errors.push(Error::invalid(&versions, webhook["admissionReviewVersions"].clone(), why));
        }
        check::one_of(&webhook["failurePolicy"], &["Fail", "Ignore"], &path.child("failurePolicy"), errors);
        check::one_of(&webhook["matchPolicy"], &["Equivalent", "Exact"], &path.child("matchPolicy"), errors);
        check::one_of(
            &webhook["reinvocationPolicy"],
            &["IfNeeded", "Never"],
            &path.child("reinvocationPolicy"),
            errors,
        );
        let effects = path.child("sideEffects");
        if webhook["sideEffects"].is_null() {
            errors.push(Error::required(&effects, "must specify one of None, NoneOnDryRun"));
        }
        check::one_of(&webhook["sideEffects"], &["None", "NoneOnDryRun"], &effects, errors);
        let seconds = &webhook["timeoutSeconds"];
        if seconds.as_i64().is_some_and(|seconds| !(1..=SECONDS_MAX).contains(&seconds)) {
            let why = "the timeout value must be between 1 and 30 seconds";
            errors.push(Error::invalid(&path.child("timeoutSeconds"), seconds.clone(), why));
        }
        for field in ["namespaceSelector", "objectSelector"] {
            check::label_selector(&webhook[field], &path.child(field), errors);
        }
        client(&webhook["clientConfig"], &path.child("clientConfig"), errors);
        rules(&webhook["rules"], &path.child("rules"), errors);
        admission_policy::match_conditions(&webhook["matchConditions"], &path.child("matchConditions"), errors);
    }
}

fn client(config: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (url, service) = (text(&config["url"]), &config["service"]);
    match (url.is_empty(), service.is_object()) {
        (true, false) | (false, true) => {
            errors.push(Error::required(&path.child("url"), "exactly one of url or service is required"));
        }
        (false, false) => {
            if !url.starts_with("https://") {
                let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                errors.push(Error::invalid(&path.child("url"), url, why));
            }
        }
        (true, true) => {
            let path = path.child("service");
            for field in ["name", "namespace"] {
                check::required(&service[field], &path.child(field), errors);
            }
            check::port(&service["port"], &path.child("port"), errors);
        }
    }
}

pub(super) fn rules(rules: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (index, rule) in items(rules) {
        let path = path.index(index);
        for field in ["operations", "apiGroups", "apiVersions", "resources"] {
            if items(&rule[field]).next().is_none() {
                errors.push(Error::required(&path.child(field), ""));
            }
        }
        let operations = path.child("operations");
        for (index, operation) in items(&rule["operations"]) {
            check::one_of(operation, &OPERATIONS, &operations.index(index), errors);
        }
        check::one_of(&rule["scope"], &["*", "Cluster", "Namespaced"], &path.child("scope"), errors);
    }
}

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(items(&object["webhooks"]).count()), table::object_age(object, now)]
}
