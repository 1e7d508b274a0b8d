//! ResourceClaim: devices that pods want.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaim;
use serde_json::{Value, json};

use super::devices;
use crate::field::{Error, Path};
use crate::json::{child, items};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    status: true,
    columns: &[Column::NAME, Column::string("State", "Whether devices are allocated and reserved."), Column::AGE],
    merge_rules: &[Rules { prefix: "status", rules: &[("reservedFor", by("uid"))] }],
    behaviour: Behaviour { default, validate, validate_update, cells, ..Behaviour::of::<ResourceClaim>() },
    ..Kind::namespaced::<ResourceClaim>("resourceclaim")
};

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        devices::default(spec);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    devices::validate(&object["spec"], &Path::new("spec"), errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("spec"), &new["spec"], &old["spec"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let mut states = Vec::new();
    if !object["metadata"]["deletionTimestamp"].is_null() {
        states.push("deleted");
    }
    if status["allocation"].is_object() {
        states.push("allocated");
    } else if states.is_empty() {
        states.push("pending");
    }
    if items(&status["reservedFor"]).next().is_some() {
        states.push("reserved");
    }
    vec![table::name(object), json!(states.join(",")), table::object_age(object, now)]
}
