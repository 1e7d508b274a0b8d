//! What the kinds that make pods from a template share: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, ReplicationController.

use serde_json::{Value, json};

use super::{check, pod};
use crate::field::{Error, Path};
use crate::json::{child, items, text};
use crate::merge::{Rules, by};
use crate::meta;
use crate::names;
use crate::table::Column;

pub(crate) const CONTAINERS: Column = Column::string("Containers", "Names of each container in the template.").wide();
pub(crate) const IMAGES: Column =
    Column::string("Images", "Images referenced by each container in the template.").wide();
pub(crate) const SELECTOR: Column = Column::string("Selector", "Label selector for pods.").wide();

/// How lists of the template and of the status are merged.
pub(crate) const MERGE_RULES: &[Rules] = &[
    Rules { prefix: "spec.template.spec", rules: pod::MERGE_RULES },
    Rules { prefix: "status", rules: &[("conditions", by("type"))] },
];

/// What is said of its template had better not be said.
pub(crate) fn warn(object: &Value, old: Option<&Value>, warnings: &mut Vec<String>) {
    if old.is_none() {
        warn_of_name(object, "Pod names and hostnames", warnings);
    }
    let path = Path::new("spec");
    pod::warnings::of(&object["spec"]["template"], &path.child("template"), warnings);
}

/// A name that becomes part of a host's had better be one.
pub(crate) fn warn_of_name(object: &Value, used: &str, warnings: &mut Vec<String>) {
    let wrong = names::dns1123_label(text(&object["metadata"]["name"]));
    if !wrong.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        ));
    }
}

pub(crate) fn default_template(spec: &mut Value) {
    if let Some(pod) = child(spec, "template").and_then(|template| child(template, "spec")) {
        pod::defaults::spec(pod);
    }
}

/// Selector and template of `spec`, and that they fit. `kind` as Kubernetes writes it in the message, `deployment`.
pub(crate) fn validate(spec: &Value, kind: &str, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let selector_path = path.child("selector");
    let selector = &spec["selector"];
    if !selector.is_object() {
        errors.push(Error::required(&selector_path, ""));
    } else {
        let before = errors.len();
        check::label_selector(selector, &selector_path, errors);
        let empty = |field: &str| match &selector[field] {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => true,
        };
        if errors.len() == before && empty("matchLabels") && empty("matchExpressions") {
            errors.push(Error::invalid(&selector_path, json!({}), format!("empty selector is invalid for {kind}")));
        }
    }
    let path = path.child("template");
    let template = &spec["template"];
    let (metadata_path, labels) = (path.child("metadata"), &template["metadata"]["labels"]);
    let labels_path = metadata_path.child("labels");
    if selector.is_object() && !check::selects(selector, labels) {
        let shown = if labels.is_null() { json!({}) } else { labels.clone() };
        errors.push(Error::invalid(&labels_path, shown, "`selector` does not match template `labels`"));
    }
    meta::validate_labels(labels, &labels_path, errors);
    meta::validate_annotations(&template["metadata"]["annotations"], &metadata_path.child("annotations"), errors);
    let pod_path = path.child("spec");
    pod::validation::spec(&template["spec"], &pod_path, errors);
    if let Some(policy) = template["spec"]["restartPolicy"].as_str().filter(|policy| *policy != "Always") {
        errors.push(Error::not_supported(&pod_path.child("restartPolicy"), policy, &["Always"]));
    }
    if !template["spec"]["activeDeadlineSeconds"].is_null() {
        errors.push(Error::forbidden(
            &pod_path.child("activeDeadlineSeconds"),
            format!(
                "activeDeadlineSeconds in {} is not Supported",
                match kind {
                    "deployment" => "Deployment",
                    "statefulset" => "StatefulSet",
                    "daemonset" => "DaemonSet",
                    _ => "ReplicaSet",
                }
            ),
        ));
    }
}

pub(crate) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path.child("selector"), &new["spec"]["selector"], &old["spec"]["selector"], errors);
}

/// Names and images of the template's containers, and the selector.
pub(crate) fn wide_cells(object: &Value) -> [Value; 3] {
    let containers = &object["spec"]["template"]["spec"]["containers"];
    let joined = |field: &str| -> Value {
        let texts: Vec<&str> = items(containers).map(|(_, container)| text(&container[field])).collect();
        json!(texts.join(","))
    };
    [joined("name"), joined("image"), selector_cell(&object["spec"]["selector"])]
}

/// `a=b,c in (d,e)`, or `<none>` for a selector that is absent or selects everything.
pub(crate) fn selector_cell(selector: &Value) -> Value {
    let shown = serde_json::from_value(selector.clone())
        .ok()
        .and_then(|typed| crate::selector::LabelSelector::from_object(Some(&typed)).ok())
        .map(|selector| selector.to_string())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "<none>".to_owned());
    json!(shown)
}
