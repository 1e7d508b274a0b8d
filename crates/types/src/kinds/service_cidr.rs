//! ServiceCIDR: a range of addresses for Services.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    status: true,
    columns: &[Column::NAME, Column::string("CIDRs", "The ranges, one for each family."), Column::AGE],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<ServiceCIDR>()
    },
    ..Kind::cluster::<ServiceCIDR>("servicecidr")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let path = path.child("cidrs");
    match items(&object["spec"]["cidrs"]).count() {
        0 => errors.push(Error::required(&path, "at least one CIDR required")),
        1 | 2 => {}
        _ => errors.push(Error::invalid(&path, object["spec"]["cidrs"].clone(), "may only hold up to 2 values")),
    }
    for (index, cidr) in items(&object["spec"]["cidrs"]) {
        let path = path.index(index);
        check::cidr(text(cidr), &path, errors);
        if !is_network(text(cidr)) {
            errors.push(Error::invalid(&path, cidr.clone(), "must not have bits set beyond the prefix length"));
        }
    }
    if let [one, other] = object["spec"]["cidrs"].as_array().map(Vec::as_slice).unwrap_or_default()
        && text(one).contains(':') == text(other).contains(':')
    {
        let why = "may specify no more than one range of each IP family";
        errors.push(Error::invalid(&path, object["spec"]["cidrs"].clone(), why));
    }
}

/// Whether a range is written with its first address; what is no range is somebody else's business.
fn is_network(cidr: &str) -> bool {
    let Some((address, length)) = cidr.split_once('/') else { return true };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u32>()) else { return true };
    match address {
        IpAddr::V4(four) => four.to_bits().checked_shl(length).unwrap_or(0) == 0,
        IpAddr::V6(six) => six.to_bits().checked_shl(length).unwrap_or(0) == 0,
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path.child("cidrs"), &new["spec"]["cidrs"], &old["spec"]["cidrs"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs: Vec<&str> = items(&object["spec"]["cidrs"]).map(|(_, cidr)| text(cidr)).collect();
    vec![table::name(object), json!(cidrs.join(",")), table::object_age(object, now)]
}
