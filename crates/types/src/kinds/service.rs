//! Service: a stable address for a set of pods. Its addresses and node ports are allocated by the API.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::json::{child, default_text, default_to, empty, items, items_mut, set, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::merge::{Rules, by};
use crate::names;
use crate::table::{self, Column};

mod validation;
mod warnings;

/// How long a client stays with its pod when the affinity does not say.
const AFFINITY_SECONDS: i32 = 10_800;

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Service",
    list_kind: "ServiceList",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    status: true,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Type", "type determines how the Service is exposed."),
        Column::string("Cluster-IP", "clusterIP is the IP address of the service and is usually assigned randomly."),
        Column::string(
            "External-IP",
            "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.",
        ),
        Column::string("Port(s)", "The list of ports that are exposed by this service."),
        Column::AGE,
        Column::string("Selector", "Route service traffic to pods with label keys and values matching this selector.")
            .wide(),
    ],
    selectable_fields: &[("spec.clusterIP", ""), ("spec.type", "")],
    merge_rules: &[
        Rules { prefix: "spec", rules: &[("ports", by("port"))] },
        Rules { prefix: "status", rules: &[("conditions", by("type"))] },
    ],
    behaviour: Behaviour {
        created_by_update: true,
        warn: warnings::of,
        default,
        prepare_create,
        validate: validation::validate,
        validate_update: validation::validate_update,
        validate_name: names::dns1035_label,
        cells,
        ..Behaviour::of::<Service>()
    },
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_text(spec, "sessionAffinity", "None");
    if text(&spec["sessionAffinity"]) == "ClientIP"
        && let Some(client_ip) = child(spec, "sessionAffinityConfig").and_then(|affinity| child(affinity, "clientIP"))
    {
        default_to(client_ip, "timeoutSeconds", AFFINITY_SECONDS);
    }
    default_text(spec, "type", "ClusterIP");
    for port in items_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        let open = matches!(&port["targetPort"], Value::Null)
            || port["targetPort"].as_i64() == Some(0)
            || port["targetPort"].as_str() == Some("");
        if open {
            let number = port["port"].clone();
            set(port, "targetPort", number);
        }
    }
    let kind = text(&spec["type"]).to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default_to(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        default_to(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_to(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn prepare_create(object: &mut Value) {
    set(object, "status", json!({"loadBalancer": empty()}));
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<String> = items(&spec["ports"])
        .map(|(_, port)| {
            let (number, protocol) = (&port["port"], text(&port["protocol"]));
            match port["nodePort"].as_i64() {
                Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })
        .collect();
    vec![
        table::name(object),
        json!(text(&spec["type"])),
        table::or_none(&spec["clusterIP"]),
        json!(external_ip(object)),
        json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }),
        table::object_age(object, now),
        table::labels(&spec["selector"]),
    ]
}

fn external_ip(object: &Value) -> String {
    let spec = &object["spec"];
    let mut addresses: Vec<&str> = items(&spec["externalIPs"]).map(|(_, address)| text(address)).collect();
    match text(&spec["type"]) {
        "ExternalName" => return text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            let mut ingress: Vec<&str> = items(&object["status"]["loadBalancer"]["ingress"])
                .map(
                    |(_, ingress)| {
                        if ingress["ip"].is_string() { text(&ingress["ip"]) } else { text(&ingress["hostname"]) }
                    },
                )
                .collect();
            if ingress.is_empty() && addresses.is_empty() {
                return "<pending>".to_owned();
            }
            ingress.append(&mut addresses);
            addresses = ingress;
        }
        _ => {}
    }
    if addresses.is_empty() { "<none>".to_owned() } else { addresses.join(",") }
}

#[cfg(test)]
mod tests;
