//! DeviceClass: devices that are alike.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::DeviceClass;
use serde_json::Value;

use super::{check, devices};
use crate::field::{Error, Path};
use crate::json::items;
use crate::kind::{Behaviour, Kind};
use crate::names;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[Column::NAME, Column::AGE],
    behaviour: Behaviour { counts_generation: true, validate, cells, ..Behaviour::of::<DeviceClass>() },
    ..Kind::cluster::<DeviceClass>("deviceclass")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    devices::selectors(&spec["selectors"], &path.child("selectors"), errors);
    let list = path.child("config");
    for (index, config) in items(&spec["config"]) {
        devices::configuration(config, &list.index(index), errors);
    }
    if let Some(resource) = spec["extendedResourceName"].as_str() {
        let path = path.child("extendedResourceName");
        check::name(resource, names::qualified_name, &path, errors);
        if !resource.contains('/') || resource.contains("kubernetes.io/") || resource.starts_with("requests.") {
            errors.push(Error::invalid(&path, resource, "must be a valid extended resource name"));
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), table::object_age(object, now)]
}
