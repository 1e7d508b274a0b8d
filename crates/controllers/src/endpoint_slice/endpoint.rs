//! What one pod contributes to a Service.

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use keelson_types::meta;
use keelson_types::pods;

const IPV4: &str = "IPv4";
const IPV6: &str = "IPv6";

/// The address families that a Service has.
pub fn families(spec: &ServiceSpec) -> Vec<&str> {
    let asked: Vec<&str> = spec.ip_families.iter().flatten().map(String::as_str).collect();
    if !asked.is_empty() {
        return asked;
    }
    match spec.cluster_ip.as_deref() {
        Some(address) if address.contains(':') => vec![IPV6],
        _ => vec![IPV4],
    }
}

/// Whether a pod is an endpoint at all: it has an address and has not ended.
pub fn belongs(pod: &Pod) -> bool {
    !pods::is_terminal(pod) && pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some())
}

/// The pod's address of a family.
pub fn address<'a>(pod: &'a Pod, family: &str) -> Option<&'a str> {
    let status = pod.status.as_ref()?;
    let all = status.pod_ips.iter().flatten().map(|address| address.ip.as_str());
    all.chain(status.pod_ip.as_deref()).find(|address| !address.is_empty() && address.contains(':') == (family == IPV6))
}

/// The Service's ports as this pod has them; a port that the pod does not name is left out.
pub fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let mut ports: Vec<EndpointPort> = spec
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let number = match &port.target_port {
                None | Some(IntOrString::Int(0)) => port.port,
                Some(IntOrString::Int(number)) => *number,
                Some(IntOrString::String(name)) if name.is_empty() => port.port,
                Some(IntOrString::String(name)) => named(pod, name, protocol)?,
            };
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(number),
                protocol: Some(protocol.to_owned()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
    ports
}

fn named(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let containers = pod.spec.iter().flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        spec.containers.iter().chain(sidecars)
    });
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let found = ports
        .find(|port| port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol)?;
    Some(found.container_port)
}

/// The endpoint of a pod.
pub fn of(service: &Service, spec: &ServiceSpec, pod: &Pod, address: &str, zone: Option<&String>) -> Endpoint {
    let serving = pods::is_ready(pod);
    let terminating = meta::is_deleting(pod);
    let ready = spec.publish_not_ready_addresses == Some(true) || (serving && !terminating);
    let pod_spec = pod.spec.as_ref();
    let subdomain = pod_spec.and_then(|spec| spec.subdomain.as_deref());
    let hostname = pod_spec.and_then(|spec| spec.hostname.clone());
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname.filter(|hostname| !hostname.is_empty() && subdomain == Some(meta::name(service))),
        node_name: pod_spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone: zone.cloned(),
        ..Endpoint::default()
    }
}

/// Whether nothing changed that an endpoint shows.
pub fn is_same_for_services(old: &Pod, new: &Pod) -> bool {
    let addresses = |pod: &Pod| pod.status.as_ref().map(|status| (status.pod_ip.clone(), status.pod_ips.clone()));
    old.metadata.uid == new.metadata.uid
        && old.metadata.labels == new.metadata.labels
        && meta::is_deleting(old) == meta::is_deleting(new)
        && pods::is_ready(old) == pods::is_ready(new)
        && pods::is_terminal(old) == pods::is_terminal(new)
        && pods::node_name(old) == pods::node_name(new)
        && addresses(old) == addresses(new)
}
