//! Lease: proof of life of a node, or of a leader.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    list_kind: "LeaseList",
    plural: "leases",
    singular: "lease",
    short_names: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Holder", "holderIdentity contains the identity of the holder of a current lease."),
        Column::AGE,
    ],
    selectable_fields: &[],
    merge_rules: &[],
    behaviour: Behaviour { created_by_update: true, validate, cells, ..Behaviour::of::<Lease>() },
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::positive(&spec["leaseDurationSeconds"], &path.child("leaseDurationSeconds"), errors);
    check::not_negative(&spec["leaseTransitions"], &path.child("leaseTransitions"), errors);
    if spec["holderIdentity"].as_str() == Some("") {
        errors.push(Error::invalid(&path.child("holderIdentity"), "", "must not be empty"));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(text(&object["spec"]["holderIdentity"])), table::object_age(object, now)]
}
