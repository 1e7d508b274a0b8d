//! IPAddress: an address that somebody holds.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IPAddress;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["ip"],
    columns: &[Column::NAME, Column::string("ParentRef", "Who holds the address.")],
    selectable_fields: &[("spec.parentRef.resource", "")],
    behaviour: Behaviour {
        counts_generation: true,
        validate,
        validate_update,
        validate_name: |name| match name.parse::<std::net::IpAddr>() {
            Ok(address) if address.to_string() == name => Vec::new(),
            _ => vec!["must be a valid IP address in canonical form".to_owned()],
        },
        cells,
        ..Behaviour::of::<IPAddress>()
    },
    ..Kind::cluster::<IPAddress>("ipaddress")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let parent = &object["spec"]["parentRef"];
    let path = path.child("parentRef");
    if !parent.is_object() {
        errors.push(Error::required(&path, ""));
        return;
    }
    for field in ["resource", "name"] {
        check::required(&parent[field], &path.child(field), errors);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path.child("parentRef"), &new["spec"]["parentRef"], &old["spec"]["parentRef"], errors);
}

fn cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let parent = &object["spec"]["parentRef"];
    let parts: Vec<&str> = ["group", "resource", "namespace", "name"]
        .into_iter()
        .map(|field| text(&parent[field]))
        .filter(|part| !part.is_empty())
        .collect();
    vec![table::name(object), json!(parts.join("/"))]
}
