//! VolumeAttributesClass: attributes of volumes that can change while they are used.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{entries, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["vac"],
    columns: &[Column::NAME, Column::string("DriverName", "The driver of the volumes."), Column::AGE],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<VolumeAttributesClass>() },
    ..Kind::cluster::<VolumeAttributesClass>("volumeattributesclass")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    check::required(&object["driverName"], &Path::new("driverName"), errors);
    if entries(&object["parameters"]).next().is_none() {
        errors.push(Error::required(&Path::new("parameters"), "must contain at least one key/value pair"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    for field in ["driverName", "parameters"] {
        meta::immutable(&Path::new(field), &new[field], &old[field], errors);
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(text(&object["driverName"])), table::object_age(object, now)]
}
