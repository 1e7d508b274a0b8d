//! What a Service may say.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::meta;
use crate::names;

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
    check::one_of(&spec["sessionAffinity"], &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    check::one_of(&spec["externalTrafficPolicy"], &["Cluster", "Local"], &path.child("externalTrafficPolicy"), errors);
    check::one_of(&spec["internalTrafficPolicy"], &["Cluster", "Local"], &path.child("internalTrafficPolicy"), errors);
    let external = path.child("externalIPs");
    for (index, address) in items(&spec["externalIPs"]) {
        if text(address).parse::<std::net::IpAddr>().is_err() {
            errors.push(Error::invalid(
                &external.index(index),
                address.clone(),
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ));
        }
    }
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
}
