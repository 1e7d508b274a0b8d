//! Pod: containers that run together on one node.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::field::{Error, Path};
use crate::json::{child, default_to, set, text};
use crate::kind::{Behaviour, Kind, Served, Target};
use crate::merge::{Rule, Rules, by, by_retaining};
use crate::table::Column;

mod amounts;
pub(crate) mod defaults;
mod ephemeral;
mod qos;
mod resize;
mod row;
mod update;
pub(crate) mod validation;
pub(crate) mod warnings;

/// Lists of a pod's spec, relative to it, so that templates share them.
pub(crate) const MERGE_RULES: &[(&str, Rule)] = &[
    ("containers", by("name")),
    ("containers.env", by("name")),
    ("containers.ports", by("containerPort")),
    ("containers.volumeMounts", by("mountPath")),
    ("containers.volumeDevices", by("devicePath")),
    ("initContainers", by("name")),
    ("initContainers.env", by("name")),
    ("initContainers.ports", by("containerPort")),
    ("initContainers.volumeMounts", by("mountPath")),
    ("initContainers.volumeDevices", by("devicePath")),
    ("ephemeralContainers", by("name")),
    ("ephemeralContainers.env", by("name")),
    ("ephemeralContainers.ports", by("containerPort")),
    ("ephemeralContainers.volumeMounts", by("mountPath")),
    ("ephemeralContainers.volumeDevices", by("devicePath")),
    ("volumes", by_retaining("name")),
    ("imagePullSecrets", by("name")),
    ("hostAliases", by("ip")),
    ("topologySpreadConstraints", by("topologyKey")),
    ("schedulingGates", by("name")),
    ("resourceClaims", by_retaining("name")),
];

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    list_kind: "PodList",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    status: true,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        Column::string("Status", "The aggregate status of the containers in this pod."),
        Column::string("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
        Column::AGE,
        Column::string("IP", "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.").wide(),
        Column::string("Node", "nodeName indicates in which node this pod is scheduled.").wide(),
        Column::string("Nominated Node", "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods.").wide(),
        Column::string("Readiness Gates", "If specified, all readiness gates will be evaluated for pod readiness.").wide(),
    ],
    selectable_fields: &[
        ("spec.nodeName", ""),
        ("spec.restartPolicy", ""),
        ("spec.schedulerName", ""),
        ("spec.serviceAccountName", ""),
        ("spec.hostNetwork", "false"),
        ("status.phase", ""),
        ("status.podIP", ""),
        ("status.nominatedNodeName", ""),
    ],
    merge_rules: &[
        Rules { prefix: "spec", rules: MERGE_RULES },
        Rules {
            prefix: "status",
            rules: &[("conditions", by("type")), ("podIPs", by("ip")), ("hostIPs", by("ip"))],
        },
    ],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        prepare_create,
        prepare_update,
        prepare_status,
        prepare_part,
        validate,
        validate_create,
        validate_update: update::validate,
        validate_part,
        warn: warnings::of_pod,
        cells: row::cells,
        ..Behaviour::of::<Pod>()
    },
};

/// Beside what templates get too, a pod gets its requests from its limits, and host ports on the host's network.
fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    defaults::spec(spec);
    defaults::requests_from_limits(spec);
    defaults::host_ports(spec);
    default_to(spec, "enableServiceLinks", true);
}

/// A pod starts out pending. Its priority comes with its class, which is the cluster's to know.
fn prepare_create(object: &mut Value) {
    let qos_class = qos::class(&object["spec"]);
    set(object, "status", json!({"phase": "Pending", "qosClass": qos_class}));
}

fn prepare_update(new: &mut Value, old: &Value) {
    if let Some(spec) = new.get_mut("spec") {
        amounts::keep_written(spec, &old["spec"]);
    }
}

/// The QoS class is decided when the pod is created.
fn prepare_status(new: &mut Value, old: &Value) {
    let class = text(&old["status"]["qosClass"]);
    if !class.is_empty()
        && let Some(status) = child(new, "status")
    {
        set(status, "qosClass", class);
    }
}

fn prepare_part(new: &mut Value, sent: &Value, target: Target) {
    match target {
        Target::EphemeralContainers => ephemeral::prepare(new, sent),
        Target::Resize => resize::prepare(new, sent),
        Target::Object | Target::Status => {}
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    validation::of_pod(&object["spec"], &Path::new("spec"), errors);
}

fn validate_create(object: &Value, errors: &mut Vec<Error>) {
    ephemeral::refuse(&object["spec"], &Path::new("spec"), "cannot be set on create", errors);
    validation::of_new_pod(&object["spec"], &Path::new("spec"), errors);
}

fn validate_part(new: &Value, old: &Value, target: Target, errors: &mut Vec<Error>) {
    match target {
        Target::EphemeralContainers => ephemeral::validate_update(new, old, errors),
        Target::Resize => resize::validate(new, old, errors),
        Target::Object | Target::Status => {}
    }
}

/// Whether a pod is one that its node found by itself, so that changes of its object here would not reach it.
fn is_static(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string()
}

#[cfg(test)]
mod tests;
