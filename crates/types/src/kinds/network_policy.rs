//! NetworkPolicy: who may talk to which pods.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, items, items_mut, set, text};
use crate::kind::{Behaviour, Kind};
use crate::names;
use crate::table::{self, Column};

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

pub static KIND: Kind = Kind {
    short_names: &["netpol"],
    columns: &[Column::NAME, Column::string("Pod-Selector", "Which pods the policy is about."), Column::AGE],
    behaviour: Behaviour { counts_generation: true, default, validate, cells, ..Behaviour::of::<NetworkPolicy>() },
    ..Kind::namespaced::<NetworkPolicy>("networkpolicy")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    // Which pods is never left open; an absent selector is one that selects all.
    child(spec, "podSelector");
    for (direction, _) in DIRECTIONS {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    }
    if items(&spec["policyTypes"]).next().is_none() {
        let mut types = vec!["Ingress"];
        if items(&spec["egress"]).next().is_some() {
            types.push("Egress");
        }
        set(spec, "policyTypes", json!(types));
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::label_selector(&spec["podSelector"], &path.child("podSelector"), errors);
    for (direction, peers) in DIRECTIONS {
        let rules = path.child(direction);
        for (index, rule) in items(&spec[direction]) {
            let path = rules.index(index);
            ports(&rule["ports"], &path.child("ports"), errors);
            let peers_path = path.child(peers);
            for (index, entry) in items(&rule[peers]) {
                peer(entry, &peers_path.index(index), errors);
            }
        }
    }
    let types = path.child("policyTypes");
    if items(&spec["policyTypes"]).count() > DIRECTIONS.len() {
        let shown = spec["policyTypes"].clone();
        errors.push(Error::invalid(&types, shown, "may not specify more than two policyTypes"));
        return;
    }
    for (index, kind) in items(&spec["policyTypes"]) {
        check::one_of(kind, &["Egress", "Ingress"], &types.index(index), errors);
    }
}

fn ports(ports: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (index, port) in items(ports) {
        let path = path.index(index);
        check::one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        match &port["port"] {
            Value::String(name) => check::name(name, names::port_name, &path.child("port"), errors),
            number => check::port(number, &path.child("port"), errors),
        }
        if let Some(end) = port["endPort"].as_i64() {
            let path = path.child("endPort");
            match port["port"].as_i64() {
                None if port["port"].is_string() => {
                    errors.push(Error::invalid(&path, end, "may not be specified when `port` is non-numeric"));
                }
                None => errors.push(Error::invalid(&path, end, "may not be specified when `port` is not specified")),
                Some(first) if end < first => {
                    errors.push(Error::invalid(&path, end, "must be greater than or equal to `port`"));
                }
                Some(_) => check::port(&port["endPort"], &path, errors),
            }
        }
    }
}

fn peer(peer: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut sources = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer[field].is_object() {
            sources += 1;
            check::label_selector(&peer[field], &path.child(field), errors);
        }
    }
    let block = &peer["ipBlock"];
    if block.is_object() {
        let path = path.child("ipBlock");
        if check::required(&block["cidr"], &path.child("cidr"), errors) {
            check::cidr(text(&block["cidr"]), &path.child("cidr"), errors);
        }
        let except = path.child("except");
        for (index, entry) in items(&block["except"]) {
            let path = except.index(index);
            check::cidr(text(entry), &path, errors);
            // What the check above complains about is no range.
            if let (Some(outer), Some(inner)) = (range(text(&block["cidr"])), range(text(entry)))
                && !(outer.0 == inner.0 && outer.2 < inner.2 && (outer.1 ^ inner.1).leading_zeros() >= outer.2)
            {
                errors.push(Error::invalid(&path, text(entry), "must be a strict subset of `cidr`"));
            }
        }
        if sources > 0 {
            errors.push(Error::forbidden(&path, "may not specify both ipBlock and another peer"));
        }
    } else if sources == 0 {
        errors.push(Error::required(path, "must specify a peer"));
    }
}

/// Whether a range is of IPv6, its address in the upper bits, and how many of them count.
fn range(text: &str) -> Option<(bool, u128, u32)> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (is_six, bits, size) = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (true, address.to_bits(), 128),
    };
    (length <= size).then_some((is_six, bits, length))
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        table::name(object),
        super::workload::selector_cell(&object["spec"]["podSelector"]),
        table::object_age(object, now),
    ]
}
