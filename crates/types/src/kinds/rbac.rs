//! What roles and their bindings share.

use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_text, items, items_mut, set, text};
use crate::meta;
use crate::table::{self, Column};

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) const BINDING_COLUMNS: &[Column] = &[
    Column::NAME,
    Column::string("Role", "The role that the subjects get."),
    Column::AGE,
    Column::string("Users", "Users in the binding").wide(),
    Column::string("Groups", "Groups in the binding").wide(),
    Column::string("ServiceAccounts", "ServiceAccounts in the binding").wide(),
];

/// Rules of one role, and words in one list of a rule: each request reads all of those that its user has.
const RULES_MAX: usize = 1_000;
const WORDS_MAX: usize = 1_000;

pub(super) fn rules(rules: &Value, path: &Path<'_>, namespaced: bool, errors: &mut Vec<Error>) {
    let some = |list: &Value| items(list).next().is_some();
    let count = items(rules).count();
    if count > RULES_MAX {
        errors.push(Error::too_many(path, count, RULES_MAX));
        return;
    }
    for (index, rule) in items(rules) {
        let path = path.index(index);
        for field in ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"] {
            let count = items(&rule[field]).count();
            if count > WORDS_MAX {
                errors.push(Error::too_many(&path.child(field), count, WORDS_MAX));
            }
        }
        if !some(&rule["verbs"]) {
            errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
        }
        if some(&rule["nonResourceURLs"]) {
            let (path, shown) = (path.child("nonResourceURLs"), rule["nonResourceURLs"].clone());
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.push(Error::invalid(&path, shown, why));
            } else if some(&rule["apiGroups"]) || some(&rule["resources"]) || some(&rule["resourceNames"]) {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(Error::invalid(&path, shown, why));
            }
            continue;
        }
        if !some(&rule["apiGroups"]) {
            let why = "resource rules must supply at least one api group";
            errors.push(Error::required(&path.child("apiGroups"), why));
        }
        if !some(&rule["resources"]) {
            let why = "resource rules must supply at least one resource";
            errors.push(Error::required(&path.child("resources"), why));
        }
    }
}

pub(super) fn default_binding(object: &mut Value) {
    if let Some(role) = object.get_mut("roleRef") {
        default_text(role, "apiGroup", GROUP);
    }
    for subject in items_mut(object, "subjects") {
        if matches!(text(&subject["kind"]), "User" | "Group") {
            default_text(subject, "apiGroup", GROUP);
        }
    }
}

pub(super) fn validate_binding(object: &Value, roles: &[&str], namespaced: bool, errors: &mut Vec<Error>) {
    let path = Path::new("roleRef");
    let role = &object["roleRef"];
    if text(&role["apiGroup"]) != GROUP {
        errors.push(Error::not_supported(&path.child("apiGroup"), role["apiGroup"].clone(), &[GROUP]));
    }
    if !roles.contains(&text(&role["kind"])) {
        errors.push(Error::not_supported(&path.child("kind"), role["kind"].clone(), roles));
    }
    if check::required(&role["name"], &path.child("name"), errors) {
        check::name(text(&role["name"]), crate::names::path_segment, &path.child("name"), errors);
    }
    let subjects = Path::new("subjects");
    for (index, subject) in items(&object["subjects"]) {
        let path = subjects.index(index);
        check::required(&subject["name"], &path.child("name"), errors);
        let group = text(&subject["apiGroup"]);
        match text(&subject["kind"]) {
            "ServiceAccount" => {
                if !text(&subject["name"]).is_empty() {
                    let account = text(&subject["name"]);
                    check::name(account, crate::names::dns1123_subdomain, &path.child("name"), errors);
                }
                if !group.is_empty() {
                    errors.push(Error::not_supported(&path.child("apiGroup"), group, &[""]));
                }
                if !namespaced || text(&subject["namespace"]).is_empty() {
                    check::required(&subject["namespace"], &path.child("namespace"), errors);
                }
            }
            "User" | "Group" => {
                if group != GROUP {
                    errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
                }
            }
            _ => {
                let kinds = ["Group", "ServiceAccount", "User"];
                errors.push(Error::not_supported(&path.child("kind"), subject["kind"].clone(), &kinds));
            }
        }
    }
}

pub(super) fn validate_binding_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    if new["roleRef"] != old["roleRef"] {
        errors.push(Error::invalid(&Path::new("roleRef"), new["roleRef"].clone(), "cannot change roleRef"));
    }
}

pub(super) fn binding_cells(object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| -> Vec<String> {
        items(&object["subjects"])
            .filter(|(_, subject)| text(&subject["kind"]) == kind)
            .map(|(_, subject)| match (kind, text(&subject["namespace"])) {
                ("ServiceAccount", namespace) if !namespace.is_empty() => {
                    format!("{namespace}/{}", text(&subject["name"]))
                }
                _ => text(&subject["name"]).to_owned(),
            })
            .collect()
    };
    let role = &object["roleRef"];
    vec![
        table::name(object),
        json!(format!("{}/{}", text(&role["kind"]), text(&role["name"]))),
        table::object_age(object, now),
        json!(subjects("User").join(", ")),
        json!(subjects("Group").join(", ")),
        json!(subjects("ServiceAccount").join(", ")),
    ]
}

/// Rules are always there, as Kubernetes shows them.
pub(super) fn default_rules(object: &mut Value) {
    if object["rules"].is_null() {
        set(object, "rules", json!([]));
    }
}

pub(super) fn validate_aggregation(object: &Value, errors: &mut Vec<Error>) {
    let aggregation = &object["aggregationRule"];
    if !aggregation.is_object() {
        return;
    }
    let path = Path::new("aggregationRule");
    let path = path.child("clusterRoleSelectors");
    if items(&aggregation["clusterRoleSelectors"]).next().is_none() {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(Error::required(&path, why));
    }
    for (index, selector) in items(&aggregation["clusterRoleSelectors"]) {
        let path = path.index(index);
        meta::validate_labels(&selector["matchLabels"], &path.child("matchLabels"), errors);
        check::label_selector(selector, &path, errors);
    }
}
