//! Node: a machine that runs pods.

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::{check, resources};
use crate::field::{Error, Path};
use crate::json::{default_to, entries, items, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::merge::{Rules, by, set};
use crate::names;
use crate::table::{self, Column};

/// Labels that give a node a role, as `node-role.kubernetes.io/control-plane` or `kubernetes.io/role=worker`.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Node",
    list_kind: "NodeList",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    status: true,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Status", "The status of the node"),
        Column::string("Roles", "The roles of the node"),
        Column::AGE,
        Column::string("Version", "Kubelet Version reported by the node."),
        Column::string("Internal-IP", "List of addresses reachable to the node.").wide(),
        Column::string("External-IP", "List of addresses reachable to the node.").wide(),
        Column::string(
            "OS-Image",
            "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        )
        .wide(),
        Column::string(
            "Kernel-Version",
            "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        )
        .wide(),
        Column::string(
            "Container-Runtime",
            "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        )
        .wide(),
    ],
    selectable_fields: &[("spec.unschedulable", "false")],
    merge_rules: &[
        Rules { prefix: "spec", rules: &[("podCIDRs", set())] },
        Rules { prefix: "status", rules: &[("addresses", by("type")), ("conditions", by("type"))] },
    ],
    behaviour: Behaviour {
        status_on_create: true,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<Node>()
    },
};

/// Without reservations everything can be allocated.
fn default(object: &mut Value) {
    let Some(status) = object.get_mut("status") else { return };
    let capacity = status["capacity"].clone();
    if capacity.is_object() {
        default_to(status, "allocatable", capacity);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let spec = Path::new("spec");
    let taints = spec.child("taints");
    let mut seen = HashSet::new();
    for (index, taint) in items(&object["spec"]["taints"]) {
        let path = taints.index(index);
        if check::required(&taint["key"], &path.child("key"), errors) {
            check::name(text(&taint["key"]), names::qualified_name, &path.child("key"), errors);
        }
        check::name(text(&taint["value"]), names::label_value, &path.child("value"), errors);
        if check::required(&taint["effect"], &path.child("effect"), errors) {
            check::one_of(
                &taint["effect"],
                &["NoSchedule", "PreferNoSchedule", "NoExecute"],
                &path.child("effect"),
                errors,
            );
        }
        if !seen.insert((text(&taint["key"]), text(&taint["effect"]))) {
            errors.push(Error::duplicate(&path, taint.clone()));
        }
    }
    let status = Path::new("status");
    for field in ["capacity", "allocatable"] {
        resources::validate_amounts(&object["status"][field], &status.child(field), errors);
    }
}

/// What is assigned once stays: other nodes' routes depend on it.
fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let (new, old) = (&new["spec"], &old["spec"]);
    if items(&old["podCIDRs"]).next().is_some() && new["podCIDRs"] != old["podCIDRs"] {
        errors.push(Error::forbidden(
            &path.child("podCIDRs"),
            "node updates may not change podCIDR except from \"\" to valid",
        ));
    }
    if !text(&old["providerID"]).is_empty() && new["providerID"] != old["providerID"] {
        errors.push(Error::forbidden(
            &path.child("providerID"),
            "node updates may not change providerID except from \"\" to valid",
        ));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = &object["status"]["nodeInfo"];
    let or_unknown = |value: &Value| match text(value) {
        "" => json!("<unknown>"),
        known => json!(known),
    };
    vec![
        table::name(object),
        json!(status(object)),
        json!(roles(object)),
        table::object_age(object, now),
        json!(text(&info["kubeletVersion"])),
        address(object, "InternalIP"),
        address(object, "ExternalIP"),
        or_unknown(&info["osImage"]),
        or_unknown(&info["kernelVersion"]),
        or_unknown(&info["containerRuntimeVersion"]),
    ]
}

/// `Ready`, `NotReady` or `Unknown`, and whether pods may be scheduled.
fn status(object: &Value) -> String {
    let ready = items(&object["status"]["conditions"])
        .find(|(_, condition)| condition["type"] == "Ready")
        .map(|(_, condition)| if condition["status"] == "True" { "Ready" } else { "NotReady" })
        .unwrap_or("Unknown");
    if object["spec"]["unschedulable"] == Value::Bool(true) {
        format!("{ready},SchedulingDisabled")
    } else {
        ready.to_owned()
    }
}

fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = entries(&object["metadata"]["labels"])
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE_LABEL => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn address(object: &Value, kind: &str) -> Value {
    let found = items(&object["status"]["addresses"]).find(|(_, address)| address["type"] == kind);
    table::or_none(found.map_or(&Value::Null, |(_, address)| &address["address"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_kubectl() {
        let now = "2026-01-02T00:00:00Z".parse().expect("a time");
        let node = json!({
            "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Simulated"}},
        });
        assert_eq!(
            KIND.cells(&node, now),
            [
                "n1",
                "Ready,SchedulingDisabled",
                "edge,worker",
                "24h",
                "v1.36.0",
                "10.0.0.1",
                "<none>",
                "Simulated",
                "<unknown>",
                "<unknown>"
            ]
            .map(Value::from)
        );
        assert_eq!(KIND.selectable_field(&json!({}), "spec.unschedulable").as_deref(), Some("false"));
    }

    #[test]
    fn taints_are_validated_and_unique() {
        let node = json!({"metadata": {"name": "n1"}, "spec": {"taints": [
            {"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "X"}]}});
        let texts: Vec<String> = KIND.validate_create(&node).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}",
                "spec.taints[2].effect: Unsupported value: \"X\": supported values: \"NoExecute\", \"NoSchedule\", \
             \"PreferNoSchedule\"",
            ]
        );
    }
}
