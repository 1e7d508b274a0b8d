//! What a Service may say.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::meta;
use crate::names;

/// A day.
const AFFINITY_SECONDS_MAX: i64 = 86_400;
const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

pub(super) fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let kind = text(&spec["type"]);
    let headless = text(&spec["clusterIP"]) == "None";
    if items(&spec["ports"]).next().is_none() && !headless && kind != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => errors.push(Error::invalid(
            &path.child("clusterIPs").index(0),
            "None",
            format!("may not be set to 'None' for {kind} services"),
        )),
        "ExternalName" => {
            if !text(&spec["clusterIP"]).is_empty() {
                errors.push(Error::forbidden(&path.child("clusterIPs"), "may not be set for ExternalName services"));
            }
            let name = text(&spec["externalName"]).trim_end_matches('.');
            if name.is_empty() {
                errors.push(Error::required(&path.child("externalName"), ""));
            } else {
                check::name(name, names::dns1123_subdomain, &path.child("externalName"), errors);
            }
        }
        _ => {}
    }
    check::one_of(
        &spec["type"],
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        &path.child("type"),
        errors,
    );
    validate_ports(spec, kind, &path.child("ports"), errors);
    meta::validate_labels(&spec["selector"], &path.child("selector"), errors);
    validate_affinity(spec, &path, errors);
    validate_families(spec, kind, &path, errors);
    let external = path.child("externalIPs");
    for (index, address) in items(&spec["externalIPs"]) {
        validate_external(address, &external.index(index), errors);
    }
    validate_balancer(object, kind, &path, errors);
    validate_traffic(spec, kind, &path, errors);
}

/// How long a client stays with its pod.
fn validate_affinity(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::one_of(&spec["sessionAffinity"], &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    let (config, path) = (&spec["sessionAffinityConfig"], path.child("sessionAffinityConfig"));
    match text(&spec["sessionAffinity"]) {
        "ClientIP" => {
            let seconds = &config["clientIP"]["timeoutSeconds"];
            if seconds.as_i64().is_some_and(|seconds| !(1..=AFFINITY_SECONDS_MAX).contains(&seconds)) {
                let why = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                let client = path.child("clientIP");
                errors.push(Error::invalid(&client.child("timeoutSeconds"), seconds.clone(), why));
            }
        }
        "None" if config.is_object() => {
            errors.push(Error::forbidden(&path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

/// Addresses and their families.
fn validate_families(spec: &Value, kind: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    if kind == "ExternalName" {
        return;
    }
    let (families, addresses) = (path.child("ipFamilies"), path.child("clusterIPs"));
    let mut seen = HashSet::new();
    for (index, family) in items(&spec["ipFamilies"]) {
        check::one_of(family, &["IPv4", "IPv6"], &families.index(index), errors);
        if !seen.insert(text(family)) {
            errors.push(Error::duplicate(&families.index(index), family.clone()));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    check::one_of(&spec["ipFamilyPolicy"], &policies, &path.child("ipFamilyPolicy"), errors);
    let listed: Vec<&str> = items(&spec["clusterIPs"]).map(|(_, address)| text(address)).collect();
    if listed.first().is_some_and(|first| *first != text(&spec["clusterIP"])) {
        let why = "first value must match `clusterIP`";
        errors.push(Error::invalid(&addresses, spec["clusterIPs"].clone(), why));
    }
    if listed.len() > 1 && listed.contains(&"None") {
        let why = "'None' must be the first and only value";
        errors.push(Error::invalid(&addresses, spec["clusterIPs"].clone(), why));
        return;
    }
    for (index, address) in items(&spec["clusterIPs"]).filter(|(_, address)| *address != "None") {
        check::address(address, &addresses.index(index), errors);
        let (six, family) = (text(address).contains(':'), text(&spec["ipFamilies"][index]));
        if (six && family == "IPv4") || (!six && family == "IPv6") {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&addresses.index(index), address.clone(), why));
        }
    }
}

/// An address of somebody else, not of every machine's own.
fn validate_external(address: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let Ok(parsed) = text(address).parse::<IpAddr>() else {
        check::address(address, path, errors);
        return;
    };
    let why = match parsed {
        _ if parsed.is_unspecified() => "may not be unspecified",
        _ if parsed.is_loopback() => "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        IpAddr::V4(four) if four.is_link_local() => "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        IpAddr::V4(four) if four.octets()[..3] == [224, 0, 0] => "may not be in the link-local multicast range",
        IpAddr::V6(six) if six.segments()[0] & 0xffc0 == 0xfe80 => {
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        }
        IpAddr::V6(six) if six.segments()[0] & 0xff0f == 0xff02 => "may not be in the link-local multicast range",
        _ => return,
    };
    errors.push(Error::invalid(path, address.clone(), why));
}

/// What only a Service behind a load balancer says.
fn validate_balancer(object: &Value, kind: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let (spec, balanced) = (&object["spec"], kind == "LoadBalancer");
    // Kubernetes writes the field so.
    let ranges = path.child("LoadBalancerSourceRanges");
    if items(&spec["loadBalancerSourceRanges"]).next().is_some() {
        if !balanced {
            errors.push(Error::forbidden(&ranges, ONLY));
        }
        for (index, range) in items(&spec["loadBalancerSourceRanges"]) {
            check::cidr(text(range).trim(), &ranges.index(index), errors);
        }
    } else if let Some(listed) = object["metadata"]["annotations"][RANGES_ANNOTATION].as_str() {
        let (metadata, annotations) = (Path::new("metadata"), "annotations");
        let annotations = metadata.child(annotations);
        let path = annotations.key(RANGES_ANNOTATION);
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY));
        }
        for range in listed.split(',').map(str::trim).filter(|_| !listed.trim().is_empty()) {
            check::cidr(range, &path, errors);
        }
    }
    if !balanced && !spec["allocateLoadBalancerNodePorts"].is_null() {
        errors.push(Error::forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY));
    }
    if let Some(class) = spec["loadBalancerClass"].as_str() {
        let path = path.child("loadBalancerClass");
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY));
        } else {
            check::name(class, names::qualified_name, &path, errors);
        }
    }
}

/// Which pods get the traffic from outside and from inside.
fn validate_traffic(spec: &Value, kind: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let policy = path.child("externalTrafficPolicy");
    let open = matches!(kind, "NodePort" | "LoadBalancer") || items(&spec["externalIPs"]).next().is_some();
    if open {
        check::one_of(&spec["externalTrafficPolicy"], &["Cluster", "Local"], &policy, errors);
    } else if !text(&spec["externalTrafficPolicy"]).is_empty() {
        let why = "may only be set for externally-accessible services";
        errors.push(Error::invalid(&policy, spec["externalTrafficPolicy"].clone(), why));
    }
    let health = path.child("healthCheckNodePort");
    let checked = kind == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
    if checked {
        check::port(&spec["healthCheckNodePort"], &health, errors);
    } else if spec["healthCheckNodePort"].as_i64().is_some_and(|port| port != 0) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(Error::invalid(&health, spec["healthCheckNodePort"].clone(), why));
    }
    check::one_of(&spec["internalTrafficPolicy"], &["Cluster", "Local"], &path.child("internalTrafficPolicy"), errors);
    let near = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    check::one_of(&spec["trafficDistribution"], &near, &path.child("trafficDistribution"), errors);
}

fn validate_ports(spec: &Value, kind: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let several = items(&spec["ports"]).count() > 1;
    let (mut names_seen, mut ports_seen, mut node_ports_seen) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (index, port) in items(&spec["ports"]) {
        let path = path.index(index);
        let (name, protocol) = (text(&port["name"]), text(&port["protocol"]));
        if !name.is_empty() {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
            if !names_seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        } else if several {
            errors.push(Error::required(&path.child("name"), ""));
        }
        let number = port["port"].as_i64().unwrap_or(0);
        check::port(&json!(number), &path.child("port"), errors);
        check::one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        match &port["targetPort"] {
            Value::String(name) => check::name(name, names::port_name, &path.child("targetPort"), errors),
            target => check::port(target, &path.child("targetPort"), errors),
        }
        if let Some(protocol) = port["appProtocol"].as_str() {
            check::name(protocol, names::qualified_name, &path.child("appProtocol"), errors);
        }
        if !ports_seen.insert((protocol, number)) {
            errors.push(Error::duplicate(&path, json!({"port": number, "protocol": protocol})));
        }
        let Some(node_port) = port["nodePort"].as_i64().filter(|node_port| *node_port != 0) else { continue };
        if !matches!(kind, "NodePort" | "LoadBalancer") {
            errors.push(Error::forbidden(&path.child("nodePort"), format!("may not be used when `type` is '{kind}'")));
        } else if !node_ports_seen.insert((protocol, node_port)) {
            errors.push(Error::duplicate(&path.child("nodePort"), node_port));
        }
    }
}

/// An address stays as long as the Service has one.
pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let (new, old) = (&new["spec"], &old["spec"]);
    let external = text(&new["type"]) == "ExternalName" || text(&old["type"]) == "ExternalName";
    let (new_ip, old_ip) = (text(&new["clusterIP"]), text(&old["clusterIP"]));
    if !external && !old_ip.is_empty() && new_ip != old_ip {
        let path = Path::new("spec");
        errors.push(Error::invalid(&path.child("clusterIPs").index(0), json!([new_ip]), "may not change once set"));
    }
    let path = Path::new("spec");
    let class = path.child("loadBalancerClass");
    let balanced = |spec: &Value| spec["type"] == "LoadBalancer";
    if balanced(new) && balanced(old) && new["loadBalancerClass"] != old["loadBalancerClass"] {
        errors.push(Error::invalid(&class, new["loadBalancerClass"].clone(), "may not change once set"));
    }
    let checked = |spec: &Value| balanced(spec) && spec["externalTrafficPolicy"] == "Local";
    let (port, before) = (&new["healthCheckNodePort"], &old["healthCheckNodePort"]);
    // One that was stored before there were such ports gets one.
    if checked(new) && checked(old) && !before.is_null() && port != before {
        errors.push(Error::forbidden(&path.child("healthCheckNodePort"), "field is immutable"));
    }
}
