//! DeviceClass: devices that are alike.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::DeviceClass;
use serde_json::Value;

use super::devices;
use crate::field::{Error, Path};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[Column::NAME, Column::AGE],
    behaviour: Behaviour { counts_generation: true, validate, cells, ..Behaviour::of::<DeviceClass>() },
    ..Kind::cluster::<DeviceClass>("deviceclass")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    devices::selectors(&object["spec"]["selectors"], &path.child("selectors"), errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), table::object_age(object, now)]
}
