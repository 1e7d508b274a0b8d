//! Endpoints: where the pods behind a Service can be reached, as it was told before there were EndpointSlices.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Endpoints;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_text, items, items_mut, text};
use crate::kind::{Behaviour, Kind};
use crate::names;
use crate::table::{self, Column};

/// How many addresses a table shows before it says how many more there are.
const SHOWN_MAX: usize = 3;

const DEPRECATED: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

pub static KIND: Kind = Kind {
    short_names: &["ep"],
    columns: &[Column::NAME, Column::string("Endpoints", "Addresses and ports that are ready."), Column::AGE],
    behaviour: Behaviour {
        created_by_update: true,
        deprecated: Some(DEPRECATED),
        default,
        validate,
        cells,
        ..Behaviour::of::<Endpoints>()
    },
    ..Kind::namespaced::<Endpoints>("endpoints")
};

fn default(object: &mut Value) {
    for subset in items_mut(object, "subsets") {
        for port in items_mut(subset, "ports") {
            default_text(port, "protocol", "TCP");
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("subsets");
    for (index, subset) in items(&object["subsets"]) {
        let path = path.index(index);
        let some = |field: &str| items(&subset[field]).next().is_some();
        if !some("addresses") && !some("notReadyAddresses") {
            errors.push(Error::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for field in ["addresses", "notReadyAddresses"] {
            let path = path.child(field);
            for (index, address) in items(&subset[field]) {
                let path = path.index(index);
                if text(&address["ip"]).parse::<std::net::IpAddr>().is_err() {
                    errors.push(Error::invalid(
                        &path.child("ip"),
                        address["ip"].clone(),
                        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                    ));
                }
                let hostname = text(&address["hostname"]);
                if !hostname.is_empty() {
                    check::name(hostname, names::dns1123_label, &path.child("hostname"), errors);
                }
            }
        }
        let several = items(&subset["ports"]).count() > 1;
        let ports = path.child("ports");
        for (index, port) in items(&subset["ports"]) {
            let path = ports.index(index);
            if text(&port["name"]).is_empty() {
                if several {
                    errors.push(Error::required(&path.child("name"), ""));
                }
            } else {
                check::name(text(&port["name"]), names::dns1123_label, &path.child("name"), errors);
            }
            check::port(&json!(port["port"].as_i64().unwrap_or(0)), &path.child("port"), errors);
            check::one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for (_, subset) in items(&object["subsets"]) {
        for (_, port) in items(&subset["ports"]) {
            for (_, address) in items(&subset["addresses"]) {
                let ip = text(&address["ip"]);
                let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                all.push(format!("{ip}:{}", port["port"]));
            }
        }
    }
    let shown = match all.len() {
        0 => "<none>".to_owned(),
        count if count <= SHOWN_MAX => all.join(","),
        count => format!("{} + {} more...", all[..SHOWN_MAX].join(","), count - SHOWN_MAX),
    };
    vec![table::name(object), json!(shown), table::object_age(object, now)]
}
