//! EndpointSlice: where the pods behind a Service can be reached.

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_to, items, items_mut, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::meta;
use crate::names;
use crate::table::{self, Column};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
/// How many ports or addresses a table shows before it says how many more there are.
const SHOWN_MAX: usize = 3;

pub static KIND: Kind = Kind {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    list_kind: "EndpointSliceList",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("AddressType", "addressType specifies the type of address carried by this EndpointSlice."),
        Column::string("Ports", "ports specifies the list of network ports exposed by each endpoint in this slice."),
        Column::string("Endpoints", "endpoints is a list of unique endpoints in this slice."),
        Column::AGE,
    ],
    selectable_fields: &[],
    merge_rules: &[],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<EndpointSlice>()
    },
};

fn default(object: &mut Value) {
    for port in items_mut(object, "ports") {
        default_to(port, "name", "");
        default_to(port, "protocol", "TCP");
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("addressType");
    if check::required(&object["addressType"], &path, errors) {
        check::one_of(&object["addressType"], &["FQDN", "IPv4", "IPv6"], &path, errors);
    }
    validate_endpoints(object, errors);
    validate_ports(object, errors);
}

fn validate_endpoints(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("endpoints");
    let count = items(&object["endpoints"]).count();
    if count > ENDPOINTS_MAX {
        errors.push(Error::too_many(&path, count, ENDPOINTS_MAX));
        return;
    }
    for (index, endpoint) in items(&object["endpoints"]) {
        let path = path.index(index);
        let addresses = path.child("addresses");
        let count = items(&endpoint["addresses"]).count();
        if count == 0 {
            errors.push(Error::required(&addresses, "must contain at least 1 address"));
        } else if count > ADDRESSES_MAX {
            errors.push(Error::too_many(&addresses, count, ADDRESSES_MAX));
        }
        for (index, address) in items(&endpoint["addresses"]) {
            validate_address(text(&object["addressType"]), text(address), &addresses.index(index), errors);
        }
        if let Some(hostname) = endpoint["hostname"].as_str() {
            check::name(hostname, names::dns1123_label, &path.child("hostname"), errors);
        }
        if let Some(node) = endpoint["nodeName"].as_str() {
            check::name(node, names::dns1123_subdomain, &path.child("nodeName"), errors);
        }
    }
}

fn validate_address(kind: &str, address: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let complaint = match kind {
        "IPv4" if address.parse::<std::net::Ipv4Addr>().is_err() => "must be a valid IPv4 address",
        "IPv6" if address.parse::<std::net::Ipv6Addr>().is_err() => "must be a valid IPv6 address",
        "FQDN" => return check::name(address, names::dns1123_subdomain, path, errors),
        _ => return,
    };
    errors.push(Error::invalid(path, address, complaint));
}

fn validate_ports(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("ports");
    let count = items(&object["ports"]).count();
    if count > PORTS_MAX {
        errors.push(Error::too_many(&path, count, PORTS_MAX));
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for (index, port) in items(&object["ports"]) {
        let path = path.index(index);
        let name = text(&port["name"]);
        if !name.is_empty() {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        check::one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        check::port(&port["port"], &path.child("port"), errors);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("addressType"), &new["addressType"], &old["addressType"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = items(&object["ports"]).map(|(_, port)| match (port["port"].as_i64(), text(&port["name"])) {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".to_owned(),
        (None, name) => name.to_owned(),
    });
    let addresses = items(&object["endpoints"])
        .flat_map(|(_, endpoint)| items(&endpoint["addresses"]))
        .map(|(_, address)| text(address).to_owned());
    vec![
        table::name(object),
        object["addressType"].clone(),
        json!(shown(ports)),
        json!(shown(addresses)),
        table::object_age(object, now),
    ]
}

/// `a,b,c + 2 more...`
fn shown(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.len() {
        0 => "<unset>".to_owned(),
        count if count <= SHOWN_MAX => texts.join(","),
        count => format!("{} + {} more...", texts[..SHOWN_MAX].join(","), count - SHOWN_MAX),
    }
}
