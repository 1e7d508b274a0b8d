//! Where a pod wants to run: tolerations, affinity, spreading.

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
            "" | "Equal" => check::name(value, names::label_value, &path.child("value"), errors),
            "Exists" if !value.is_empty() => errors.push(Error::invalid(
                &path.child("operator"),
                operator,
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
        let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        let terms = path.child("nodeSelectorTerms");
        if items(&required["nodeSelectorTerms"]).next().is_none() {
            errors.push(Error::required(&terms, "must have at least one node selector term"));
        }
        for (index, term) in items(&required["nodeSelectorTerms"]) {
            validate_node_term(term, &terms.index(index), errors);
        }
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
    for list in ["matchExpressions", "matchFields"] {
        let path = path.child(list);
        for (index, requirement) in items(&term[list]) {
            let path = path.index(index);
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
                    errors.push(Error::required(
                        &values,
                        "must be specified single value when `operator` is 'Lt' or 'Gt'",
                    ));
                }
                Some(_) => {}
                None => errors.push(Error::invalid(
                    &path.child("operator"),
                    requirement["operator"].clone(),
                    "not a valid selector operator",
                )),
            }
            check::name(text(&requirement["key"]), names::qualified_name, &path.child("key"), errors);
        }
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
    check::label_selector(&term["labelSelector"], &path.child("labelSelector"), errors);
    if text(&term["topologyKey"]).is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    } else {
        check::name(text(&term["topologyKey"]), names::qualified_name, &path.child("topologyKey"), errors);
    }
}

fn validate_spread(constraints: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (index, constraint) in items(constraints) {
        let path = path.index(index);
        let skew = constraint["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.push(Error::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
        }
        if text(&constraint["topologyKey"]).is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        let action = text(&constraint["whenUnsatisfiable"]);
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            errors.push(Error::not_supported(
                &path.child("whenUnsatisfiable"),
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            ));
        }
        check::label_selector(&constraint["labelSelector"], &path.child("labelSelector"), errors);
    }
}
