//! ResourceSlice: devices that a driver has to give.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceSlice;
use serde_json::{Value, json};

use super::check;
use super::persistent_volume::unset;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};
use crate::{meta, names};

const DEVICES_MAX: usize = 128;

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("Node", "The node that has the devices."),
        Column::string("Driver", "Who manages them."),
        Column::string("Pool", "The pool that they belong to."),
        Column::AGE,
    ],
    selectable_fields: &[("spec.driver", ""), ("spec.nodeName", "")],
    behaviour: Behaviour {
        counts_generation: true,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<ResourceSlice>()
    },
    ..Kind::cluster::<ResourceSlice>("resourceslice")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::required(&spec["driver"], &path.child("driver"), errors);
    let pool = path.child("pool");
    check::required(&spec["pool"]["name"], &pool.child("name"), errors);
    if spec["pool"]["resourceSliceCount"].as_i64().unwrap_or(0) <= 0 {
        let count = spec["pool"]["resourceSliceCount"].as_i64().unwrap_or(0);
        errors.push(Error::invalid(&pool.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    let places = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    let named = places.iter().filter(|field| !spec[**field].is_null() && spec[**field] != false).count();
    if named != 1 {
        let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        errors.push(if named == 0 { Error::required(&path, why) } else { Error::invalid(&path, "", why) });
    }
    let devices = path.child("devices");
    let count = items(&spec["devices"]).count();
    if count > DEVICES_MAX {
        errors.push(Error::too_many(&devices, count, DEVICES_MAX));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, device) in items(&spec["devices"]) {
        let path = devices.index(index);
        let name = text(&device["name"]);
        if check::required(&device["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    for field in ["driver", "nodeName"] {
        meta::immutable(&path.child(field), &new["spec"][field], &old["spec"][field], errors);
    }
    let pool = path.child("pool");
    meta::immutable(&pool.child("name"), &new["spec"]["pool"]["name"], &old["spec"]["pool"]["name"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        table::name(object),
        unset(&spec["nodeName"]),
        json!(text(&spec["driver"])),
        json!(text(&spec["pool"]["name"])),
        table::object_age(object, now),
    ]
}
