//! HorizontalPodAutoscaler of `autoscaling/v1`: a view of what is stored as `autoscaling/v2`.
//!
//! It has a field for the CPU and nothing else. All the rest stays in annotations, as JSON in the words of v2, so that nothing
//! is lost on the way there and back.

use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler;
use serde_json::{Map, Value, json};

use super::horizontal_pod_autoscaler as v2;
use crate::json::{child, items, set};
use crate::kind::{Behaviour, Kind, Served, View};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

pub static KIND: Kind = Kind {
    short_names: &["hpa"],
    categories: &["all"],
    status: true,
    served: Served::As(&VIEW),
    columns: v2::COLUMNS,
    behaviour: Behaviour {
        validate_name: v2::validate_name,
        cells: |object, now| v2::cells(&to_stored(object.clone()), now),
        ..Behaviour::of::<HorizontalPodAutoscaler>()
    },
    ..Kind::namespaced::<HorizontalPodAutoscaler>("horizontalpodautoscaler")
};

static VIEW: View = View { stored: &v2::KIND, from_stored, to_stored };

fn from_stored(mut object: Value) -> Value {
    set(&mut object, "apiVersion", "autoscaling/v1");
    let mut notes = Map::new();
    if let Some(spec) = child(&mut object, "spec") {
        let rest = split(spec, "metrics", "targetCPUUtilizationPercentage", "target");
        note(&mut notes, METRICS, rest);
        note(&mut notes, BEHAVIOR, spec.as_object_mut().and_then(|spec| spec.remove("behavior")));
    }
    if let Some(status) = object.get_mut("status").filter(|status| status.is_object()) {
        let rest = split(status, "currentMetrics", "currentCPUUtilizationPercentage", "current");
        note(&mut notes, CURRENT_METRICS, rest);
        note(&mut notes, CONDITIONS, status.as_object_mut().and_then(|status| status.remove("conditions")));
    }
    if !notes.is_empty()
        && let Some(annotations) = child(&mut object, "metadata").and_then(|metadata| child(metadata, "annotations"))
    {
        for (name, value) in notes {
            set(annotations, &name, value);
        }
    }
    object
}

/// Moves the CPU's metric out of a list into its field, and returns the other metrics.
fn split(part: &mut Value, list: &str, field: &str, inner: &str) -> Option<Value> {
    let metrics = part.as_object_mut()?.remove(list)?;
    let is_cpu = |metric: &Value| match inner {
        "target" => v2::is_cpu(metric),
        _ => {
            metric["type"] == "Resource"
                && metric["resource"]["name"] == "cpu"
                && !metric["resource"][inner]["averageUtilization"].is_null()
        }
    };
    let position = items(&metrics).find(|(_, metric)| is_cpu(metric)).map(|(index, _)| index);
    let mut metrics = metrics.as_array().cloned().unwrap_or_default();
    if let Some(position) = position {
        let cpu = if inner == "target" { metrics.remove(position) } else { metrics[position].clone() };
        set(part, field, cpu["resource"][inner]["averageUtilization"].clone());
    }
    Some(Value::Array(metrics)).filter(|rest| items(rest).next().is_some())
}

fn note(notes: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        notes.insert(name.to_owned(), value.to_string().into());
    }
}

fn to_stored(mut object: Value) -> Value {
    set(&mut object, "apiVersion", "autoscaling/v2");
    let metrics = take_note(&mut object, METRICS);
    let behavior = take_note(&mut object, BEHAVIOR);
    let current = take_note(&mut object, CURRENT_METRICS);
    let conditions = take_note(&mut object, CONDITIONS);
    if let Some(spec) = child(&mut object, "spec") {
        let percent = spec.as_object_mut().and_then(|spec| spec.remove("targetCPUUtilizationPercentage"));
        let mut all: Vec<Value> = Vec::new();
        if let Some(percent) = percent {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        all.extend(metrics.as_ref().and_then(Value::as_array).cloned().unwrap_or_default());
        if !all.is_empty() {
            set(spec, "metrics", all);
        }
        if let Some(behavior) = behavior {
            set(spec, "behavior", behavior);
        }
    }
    if let Some(status) = object.get_mut("status").filter(|status| status.is_object()) {
        let percent = status.as_object_mut().and_then(|status| status.remove("currentCPUUtilizationPercentage"));
        match (current, percent) {
            (Some(current), _) => set(status, "currentMetrics", current),
            (None, Some(percent)) => {
                let current = json!({"averageUtilization": percent, "averageValue": "0"});
                let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "current": current}});
                set(status, "currentMetrics", json!([cpu]));
            }
            (None, None) => {}
        }
        if let Some(conditions) = conditions {
            set(status, "conditions", conditions);
        }
    }
    object
}

/// Takes an annotation that holds JSON. One that does not is left where it is: somebody else's.
fn take_note(object: &mut Value, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = serde_json::from_str(annotations.get(name)?.as_str()?).ok()?;
    annotations.remove(name);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way_to_v1_and_back() {
        let pods = json!({"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}});
        let stored = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h", "annotations": {"mine": "kept"}},
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                "minReplicas": 1, "maxReplicas": 5,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50}}},
                    {"type": "Pods", "pods": pods},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
            },
            "status": {"currentReplicas": 2, "desiredReplicas": 2,
                "conditions": [{"type": "AbleToScale", "status": "True"}]},
        });
        let shown = from_stored(stored.clone());
        assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 50);
        assert!(shown["spec"].get("metrics").is_none() && shown["spec"].get("behavior").is_none(), "{shown}");
        assert_eq!(shown["metadata"]["annotations"]["mine"], "kept");
        assert_eq!(KIND.decode_value(shown.clone()).expect("is of v1").strict_error(), None);
        assert_eq!(to_stored(shown), stored);
    }

    #[test]
    fn what_kubectl_autoscale_sends_becomes_a_metric() {
        let sent = json!({"metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
        let stored = to_stored(sent);
        assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
        assert_eq!(from_stored(stored)["spec"]["targetCPUUtilizationPercentage"], 70);
    }
}
