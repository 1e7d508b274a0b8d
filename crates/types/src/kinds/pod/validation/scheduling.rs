//! Where a pod wants to run: tolerations, affinity, spreading.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;
use crate::selector::Operator;

pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    validate_tolerations(&spec["tolerations"], &path.child("tolerations"), errors);
    let affinity_path = path.child("affinity");
    let affinity = &spec["affinity"];
    validate_node_affinity(&affinity["nodeAffinity"], &affinity_path.child("nodeAffinity"), errors);
    for kind in ["podAffinity", "podAntiAffinity"] {
        validate_pod_affinity(&affinity[kind], &affinity_path.child(kind), errors);
    }
    validate_spread(&spec["topologySpreadConstraints"], &path.child("topologySpreadConstraints"), errors);
    let gates = path.child("readinessGates");
    for (index, gate) in items(&spec["readinessGates"]) {
        let path = gates.index(index);
        check::name(text(&gate["conditionType"]), names::qualified_name, &path.child("conditionType"), errors);
    }
    let gates = path.child("schedulingGates");
    let mut seen = HashSet::new();
    for (index, gate) in items(&spec["schedulingGates"]) {
        let (path, name) = (gates.index(index), text(&gate["name"]));
        check::name(name, names::qualified_name, &path, errors);
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
    }
}

fn validate_tolerations(tolerations: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (index, toleration) in items(tolerations) {
        let path = path.index(index);
        let (key, operator, value) =
            (text(&toleration["key"]), text(&toleration["operator"]), text(&toleration["value"]));
        let effect = text(&toleration["effect"]);
        if !key.is_empty() {
            check::name(key, names::qualified_name, &path.child("key"), errors);
        } else if operator != "Exists" {
            errors.push(Error::invalid(
                &path.child("operator"),
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        if toleration["tolerationSeconds"].is_i64() && effect != "NoExecute" {
            errors.push(Error::invalid(
                &path.child("effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        match operator {
            "" | "Equal" => check::name(value, names::label_value, &path.child("operator"), errors),
            "Exists" if !value.is_empty() => errors.push(Error::invalid(
                &path.child("operator"),
                value,
                "value must be empty when `operator` is 'Exists'",
            )),
            "Exists" => {}
            other => errors.push(Error::not_supported(&path.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            check::one_of(&toleration["effect"], &effects, &path.child("effect"), errors);
        }
    }
}

fn validate_node_affinity(affinity: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    if required.is_object() {
        node_selector(required, &path.child("requiredDuringSchedulingIgnoredDuringExecution"), errors);
    }
    let path = path.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (index, preferred) in items(&affinity["preferredDuringSchedulingIgnoredDuringExecution"]) {
        let path = path.index(index);
        validate_weight(&preferred["weight"], &path.child("weight"), errors);
        validate_node_term(&preferred["preference"], &path.child("preference"), errors);
    }
}

fn validate_weight(weight: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let weight = weight.as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(path, weight, "must be in the range 1-100"));
    }
}

fn validate_node_term(term: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("matchExpressions");
    for (index, requirement) in items(&term["matchExpressions"]) {
        let path = list.index(index);
        let count = items(&requirement["values"]).count();
        let values = path.child("values");
        match Operator::from_word(text(&requirement["operator"])) {
            Some(Operator::In | Operator::NotIn) if count == 0 => {
                errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            Some(Operator::Exists | Operator::DoesNotExist) if count > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(Error::forbidden(&values, detail));
            }
            Some(Operator::Gt | Operator::Lt) if count != 1 => {
                errors.push(Error::required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
            Some(_) => {}
            None => errors.push(not_an_operator(requirement, &path)),
        }
        check::name(text(&requirement["key"]), names::qualified_name, &path.child("key"), errors);
        for (index, value) in items(&requirement["values"]) {
            check::name(text(value), names::label_value, &values.index(index), errors);
        }
    }
    let list = path.child("matchFields");
    for (index, requirement) in items(&term["matchFields"]) {
        let path = list.index(index);
        let values = path.child("values");
        if !matches!(text(&requirement["operator"]), "In" | "NotIn") {
            errors.push(not_an_operator(requirement, &path));
        } else if items(&requirement["values"]).count() != 1 {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&values, why));
        }
        if requirement["key"] != "metadata.name" {
            let why = "not a valid field selector key";
            errors.push(Error::invalid(&path.child("key"), requirement["key"].clone(), why));
            continue;
        }
        for (index, value) in items(&requirement["values"]) {
            check::name(text(value), names::dns1123_subdomain, &values.index(index), errors);
        }
    }
}

fn not_an_operator(requirement: &Value, path: &Path<'_>) -> Error {
    Error::invalid(&path.child("operator"), requirement["operator"].clone(), "not a valid selector operator")
}

/// The terms of a required affinity, of pods and of other objects that name nodes.
pub(crate) fn node_selector(selector: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let terms = path.child("nodeSelectorTerms");
    if items(&selector["nodeSelectorTerms"]).next().is_none() {
        errors.push(Error::required(&terms, "must have at least one node selector term"));
    }
    for (index, term) in items(&selector["nodeSelectorTerms"]) {
        validate_node_term(term, &terms.index(index), errors);
    }
}

fn validate_pod_affinity(affinity: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let required = path.child("requiredDuringSchedulingIgnoredDuringExecution");
    for (index, term) in items(&affinity["requiredDuringSchedulingIgnoredDuringExecution"]) {
        validate_pod_term(term, &required.index(index), errors);
    }
    let preferred = path.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (index, weighted) in items(&affinity["preferredDuringSchedulingIgnoredDuringExecution"]) {
        let path = preferred.index(index);
        validate_weight(&weighted["weight"], &path.child("weight"), errors);
        validate_pod_term(&weighted["podAffinityTerm"], &path.child("podAffinityTerm"), errors);
    }
}

fn validate_pod_term(term: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for selector in ["labelSelector", "namespaceSelector"] {
        check::label_selector(&term[selector], &path.child(selector), errors);
    }
    let namespaces = path.child("namespaces");
    for (index, namespace) in items(&term["namespaces"]) {
        check::name(text(namespace), names::dns1123_label, &namespaces.index(index), errors);
    }
    validate_label_keys(term, path, errors);
    if text(&term["topologyKey"]).is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    } else {
        check::name(text(&term["topologyKey"]), names::qualified_name, &path.child("topologyKey"), errors);
    }
}

/// Keys whose values are those of the pod itself.
fn validate_label_keys(term: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let path = path.child(field);
        if items(&term[field]).next().is_some() && !term["labelSelector"].is_object() {
            errors.push(Error::forbidden(&path, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, key) in items(&term[field]) {
            check::name(text(key), names::qualified_name, &path.index(index), errors);
        }
    }
    let path = path.child("matchLabelKeys");
    for (index, key) in items(&term["matchLabelKeys"]) {
        if items(&term["mismatchLabelKeys"]).any(|(_, other)| other == key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(Error::invalid(&path.index(index), key.clone(), why));
        }
    }
}

fn validate_spread(constraints: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen = HashSet::new();
    for (index, constraint) in items(constraints) {
        let path = path.index(index);
        let skew = constraint["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.push(Error::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
        }
        let (key, action) = (text(&constraint["topologyKey"]), text(&constraint["whenUnsatisfiable"]));
        if key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(Error::not_supported(&path.child("whenUnsatisfiable"), action, &actions));
        }
        if !seen.insert((key, action)) {
            // Kubernetes names the pair as if it were a field.
            let pair = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&pair, format!("{{{key}, {action}}}")));
        }
        let domains = &constraint["minDomains"];
        if domains.as_i64().is_some_and(|domains| domains <= 0) {
            errors.push(Error::invalid(&path.child("minDomains"), domains.clone(), "must be greater than zero"));
        }
        if !domains.is_null() && action != "DoNotSchedule" {
            let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(Error::invalid(&path.child("minDomains"), domains.clone(), why));
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            check::one_of(&constraint[field], &["Honor", "Ignore"], &path.child(field), errors);
        }
        let selector = &constraint["labelSelector"];
        validate_keys_of_spread(constraint, selector, &path.child("matchLabelKeys"), errors);
        check::label_selector(selector, &path.child("labelSelector"), errors);
    }
}

fn validate_keys_of_spread(constraint: &Value, selector: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if items(&constraint["matchLabelKeys"]).next().is_some() && !selector.is_object() {
        errors.push(Error::forbidden(path, "must not be specified when labelSelector is not set"));
    }
    for (index, key) in items(&constraint["matchLabelKeys"]) {
        check::name(text(key), names::qualified_name, &path.index(index), errors);
        let selected = !selector["matchLabels"][text(key)].is_null()
            || items(&selector["matchExpressions"]).any(|(_, expression)| expression["key"] == *key);
        if selected {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.push(Error::invalid(&path.index(index), key.clone(), why));
        }
    }
}
