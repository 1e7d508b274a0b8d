//! A service with its endpoints.

use serde_json::Value;

use super::head;
use crate::render::describe::Section;
use crate::render::{items, or_none, pairs, text};

pub(super) fn describe(service: &Value, slices: &[Value]) -> Section {
    let spec = &service["spec"];
    let mut section = head(service);
    section
        .field("Selector", pairs(&spec["selector"]))
        .field("Type", text(&spec["type"]))
        .field("IP", or_none(&spec["clusterIP"]))
        .optional("External Name", text(&spec["externalName"]));
    for port in items(&spec["ports"]) {
        let name = text(&port["name"]);
        let protocol = text(&port["protocol"]);
        let shown = if name.is_empty() { "<unset>" } else { &name };
        section.field("Port", format!("{shown} {}/{protocol}", text(&port["port"])));
        section.field("TargetPort", format!("{}/{protocol}", text(&port["targetPort"])));
        let node_port = text(&port["nodePort"]);
        section.optional("NodePort", if node_port.is_empty() { node_port } else { format!("{node_port}/{protocol}") });
        section.lines("Endpoints", endpoints(slices, &name));
    }
    section.field("Session Affinity", or_none(&spec["sessionAffinity"]));
    section
}

/// `10.1.0.7:80` for every ready endpoint of the port.
fn endpoints(slices: &[Value], port_name: &str) -> Vec<String> {
    let mut endpoints = Vec::new();
    for slice in slices {
        for port in items(&slice["ports"]).iter().filter(|port| text(&port["name"]) == port_name) {
            for endpoint in items(&slice["endpoints"]) {
                // Absent means ready.
                if endpoint["conditions"]["ready"] == false {
                    continue;
                }
                let addresses = items(&endpoint["addresses"]).iter();
                endpoints.extend(addresses.map(|address| format!("{}:{}", text(address), text(&port["port"]))));
            }
        }
    }
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_endpoints_of_the_port_are_shown() {
        let slice = json!({
            "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}],
            "endpoints": [
                {"addresses": ["10.1.0.8"], "conditions": {"ready": true}},
                {"addresses": ["10.1.0.7"], "conditions": {}},
                {"addresses": ["10.1.0.9"], "conditions": {"ready": false}},
            ],
        });
        assert_eq!(endpoints(&[slice], "http"), ["10.1.0.7:8080", "10.1.0.8:8080"]);
    }

    #[test]
    fn a_service_shows_each_port() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"type": "NodePort", "clusterIP": "10.96.0.10", "selector": {"app": "web"}, "sessionAffinity": "None",
                     "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080, "protocol": "TCP"}]},
        });
        let text = describe(&service, &[]).render();
        assert!(text.contains("Port:              <unset> 80/TCP\nTargetPort:        8080/TCP\n"), "{text}");
        assert!(text.contains("NodePort:          30080/TCP\nEndpoints:         <none>\n"), "{text}");
    }
}
