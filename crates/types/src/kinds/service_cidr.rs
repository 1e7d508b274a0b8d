//! ServiceCIDR: a range of addresses for Services.

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
        check::cidr(text(cidr), &path.index(index), errors);
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
