//! HorizontalPodAutoscaler: as many pods as the load asks for. Stored as `autoscaling/v2`.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, entries, items, set, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::names;
use crate::quantity::Quantity;
use crate::table::{self, Column};

/// What one without metrics aims at.
const CPU_PERCENT: i32 = 80;
/// How many metrics a table shows before it says how many more there are.
const SHOWN_MAX: usize = 2;
/// The longest window, in seconds: an hour.
const WINDOW_MAX: i64 = 3600;
/// The longest period of a policy, in seconds.
const PERIOD_MAX: i64 = 1800;
/// The kinds of metrics, with the field that each fills.
pub(super) const SOURCES: [(&str, &str); 5] = [
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("Pods", "pods"),
    ("Object", "object"),
    ("External", "external"),
];

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::string("Reference", "What is scaled."),
    Column::string("Targets", "What each metric is, and should be."),
    Column::string("MinPods", "The fewest pods."),
    Column::string("MaxPods", "The most pods."),
    Column::string("Replicas", "How many pods there are."),
    Column::AGE,
];

pub static KIND: Kind = Kind {
    short_names: &["hpa"],
    categories: &["all"],
    status: true,
    columns: COLUMNS,
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour { default, validate, cells, ..Behaviour::of::<HorizontalPodAutoscaler>() },
    ..Kind::namespaced::<HorizontalPodAutoscaler>("horizontalpodautoscaler")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_to(spec, "minReplicas", 1);
    if items(&spec["metrics"]).next().is_none() {
        let target = json!({"type": "Utilization", "averageUtilization": CPU_PERCENT});
        set(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    if let Some(up) = child(behavior, "scaleUp") {
        default_to(up, "stabilizationWindowSeconds", 0);
        default_text(up, "selectPolicy", "Max");
        default_to(up, "policies", json!([pods, percent]));
    }
    if let Some(down) = child(behavior, "scaleDown") {
        default_text(down, "selectPolicy", "Max");
        default_to(down, "policies", json!([percent]));
    }
}

pub(super) fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        errors.push(Error::invalid(&path.child("minReplicas"), min, "must be greater than or equal to 1"));
    }
    if max < 1 {
        errors.push(Error::invalid(&path.child("maxReplicas"), max, "must be greater than 0"));
    } else if min.is_some_and(|min| max < min) {
        errors.push(Error::invalid(&path.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`"));
    }
    reference(&spec["scaleTargetRef"], &path.child("scaleTargetRef"), errors);
    let metrics = path.child("metrics");
    for (index, entry) in items(&spec["metrics"]) {
        metric(entry, &metrics.index(index), errors);
    }
    let behavior = path.child("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        scaling(&spec["behavior"][direction], &behavior.child(direction), errors);
    }
}

fn reference(reference: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for field in ["kind", "name"] {
        if check::required(&reference[field], &path.child(field), errors) {
            let name = text(&reference[field]);
            if name.contains(['/', '%']) || matches!(name, "." | "..") {
                errors.push(Error::invalid(&path.child(field), name, "may not contain '/'"));
            }
        }
    }
}

fn metric(metric: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kind = text(&metric["type"]);
    let Some((_, field)) = SOURCES.iter().find(|(known, _)| *known == kind) else {
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), "must specify a metric source type"));
        } else {
            let known: Vec<&str> = SOURCES.iter().map(|(known, _)| *known).collect();
            errors.push(Error::not_supported(&path.child("type"), kind, &known));
        }
        return;
    };
    for (_, other) in SOURCES.iter().filter(|(_, other)| other != field) {
        if metric[*other].is_object() {
            errors.push(Error::forbidden(&path.child(other), "must populate the given metric source only"));
        }
    }
    let (source, path) = (&metric[*field], path.child(field));
    if !source.is_object() {
        errors.push(Error::required(&path, "must populate information for the given metric source"));
        return;
    }
    let target_path = path.child("target");
    match *field {
        "resource" => {
            check::required(&source["name"], &path.child("name"), errors);
        }
        "containerResource" => {
            check::required(&source["name"], &path.child("name"), errors);
            check::required(&source["container"], &path.child("container"), errors);
        }
        _ => {
            let metric_path = path.child("metric");
            if check::required(&source["metric"]["name"], &metric_path.child("name"), errors) {
                check::label_selector(&source["metric"]["selector"], &metric_path.child("selector"), errors);
            }
            if *field == "object" {
                reference(&source["describedObject"], &path.child("describedObject"), errors);
            }
        }
    }
    target(&source["target"], &target_path, errors);
}

fn target(target: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::required(&target["type"], &path.child("type"), errors);
    check::one_of(&target["type"], &["AverageValue", "Utilization", "Value"], &path.child("type"), errors);
    check::positive(&target["averageUtilization"], &path.child("averageUtilization"), errors);
    for field in ["value", "averageValue"] {
        match target[field].as_str().map(str::parse::<Quantity>) {
            Some(Ok(amount)) if amount.millis() <= 0 => {
                errors.push(Error::invalid(&path.child(field), target[field].clone(), "must be positive"));
            }
            Some(Err(error)) => {
                errors.push(Error::invalid(&path.child(field), target[field].clone(), error.to_string()));
            }
            _ => {}
        }
    }
    let given = ["averageUtilization", "value", "averageValue"].iter().any(|field| !target[*field].is_null());
    if !given {
        errors.push(Error::required(
            &path.child("averageUtilization"),
            "must set either a target raw value or a target utilization",
        ));
    }
}

fn scaling(rules: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !rules.is_object() {
        return;
    }
    let window = &rules["stabilizationWindowSeconds"];
    check::not_negative(window, &path.child("stabilizationWindowSeconds"), errors);
    if window.as_i64() > Some(WINDOW_MAX) {
        let why = format!("must be less than or equal to {WINDOW_MAX}");
        errors.push(Error::invalid(&path.child("stabilizationWindowSeconds"), window.clone(), why));
    }
    check::one_of(&rules["selectPolicy"], &["Disabled", "Max", "Min"], &path.child("selectPolicy"), errors);
    let policies = path.child("policies");
    if items(&rules["policies"]).next().is_none() {
        errors.push(Error::required(&policies, "must specify at least one Policy"));
    }
    for (index, policy) in items(&rules["policies"]) {
        let path = policies.index(index);
        check::one_of(&policy["type"], &["Percent", "Pods"], &path.child("type"), errors);
        for (field, most) in [("value", i64::MAX), ("periodSeconds", PERIOD_MAX)] {
            let value = policy[field].as_i64().unwrap_or(0);
            if value <= 0 {
                errors.push(Error::invalid(&path.child(field), value, "must be greater than zero"));
            } else if value > most {
                let why = format!("must be less than or equal to {most}");
                errors.push(Error::invalid(&path.child(field), value, why));
            }
        }
    }
}

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let reference = &spec["scaleTargetRef"];
    let min = spec["minReplicas"].as_i64().map_or("<unset>".to_owned(), |min| min.to_string());
    vec![
        table::name(object),
        json!(format!("{}/{}", text(&reference["kind"]), text(&reference["name"]))),
        json!(targets(&spec["metrics"], &status["currentMetrics"])),
        json!(min),
        json!(spec["maxReplicas"].as_i64().unwrap_or(0).to_string()),
        json!(status["currentReplicas"].as_i64().unwrap_or(0).to_string()),
        table::object_age(object, now),
    ]
}

/// `cpu: <unknown>/80%`
fn targets(metrics: &Value, current: &Value) -> String {
    let all: Vec<String> = items(metrics).map(|(index, metric)| shown(metric, &current[index])).collect();
    match all.len() {
        0 => "<none>".to_owned(),
        count if count <= SHOWN_MAX => all.join(", "),
        count => format!("{} + {} more...", all[..SHOWN_MAX].join(", "), count - SHOWN_MAX),
    }
}

fn shown(metric: &Value, current: &Value) -> String {
    let kind = text(&metric["type"]);
    let Some((_, field)) = SOURCES.iter().find(|(known, _)| *known == kind) else {
        return "<unknown type>".to_owned();
    };
    let (target, now) = (&metric[*field]["target"], &current[*field]["current"]);
    let (field, unit, suffix) = match () {
        () if !target["averageUtilization"].is_null() => ("averageUtilization", "%", ""),
        () if !target["averageValue"].is_null() => {
            ("averageValue", "", if matches!(*field, "object" | "external") { " (avg)" } else { "" })
        }
        () => ("value", "", ""),
    };
    let amount = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        number => Some(number.to_string()),
    };
    let is = amount(&now[field]).map_or("<unknown>".to_owned(), |is| is + unit);
    let should = amount(&target[field]).map_or("<auto>".to_owned(), |should| should + unit);
    match kind {
        "Resource" => format!("{}: {is}/{should}", text(&metric["resource"]["name"])),
        "ContainerResource" => format!("{}: {is}/{should}", text(&metric["containerResource"]["name"])),
        _ => format!("{is}/{should}{suffix}"),
    }
}

/// Whether a metric is the one that `autoscaling/v1` has a field for: the CPU in percent of what is requested.
pub(super) fn is_cpu(metric: &Value) -> bool {
    let resource = &metric["resource"];
    let only = entries(metric).all(|(field, _)| field == "type" || field == "resource");
    let plain =
        |part: &str| entries(&resource[part]).all(|(field, _)| matches!(field.as_str(), "type" | "averageUtilization"));
    text(&metric["type"]) == "Resource"
        && only
        && text(&resource["name"]) == "cpu"
        && !resource["target"]["averageUtilization"].is_null()
        && plain("target")
}

/// Names of what is scaled are checked the same in both versions.
pub(super) fn validate_name(name: &str) -> Vec<String> {
    names::dns1123_subdomain(name)
}
