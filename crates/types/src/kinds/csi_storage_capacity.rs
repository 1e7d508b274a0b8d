//! CSIStorageCapacity: how much room a storage system has for a class, seen from some nodes.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use serde_json::{Value, json};

use super::check;
use super::persistent_volume::unset;
use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::quantity::Quantity;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("StorageClassName", "The class of volumes that there is room for."),
        Column::string("Capacity", "How much room there is."),
    ],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<CSIStorageCapacity>() },
    ..Kind::namespaced::<CSIStorageCapacity>("csistoragecapacity")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    check::required(&object["storageClassName"], &Path::new("storageClassName"), errors);
    check::label_selector(&object["nodeTopology"], &Path::new("nodeTopology"), errors);
    for field in ["capacity", "maximumVolumeSize"] {
        match object[field].as_str().map(str::parse::<Quantity>) {
            Some(Err(error)) => {
                errors.push(Error::invalid(&Path::new(field), object[field].clone(), error.to_string()));
            }
            Some(Ok(amount)) if amount.is_negative() => errors.push(Error::invalid(
                &Path::new(field),
                object[field].clone(),
                "must be greater than or equal to 0",
            )),
            _ => {}
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    for field in ["nodeTopology", "storageClassName"] {
        meta::immutable(&Path::new(field), &new[field], &old[field], errors);
    }
}

fn cells(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(text(&object["storageClassName"])), unset(&object["capacity"])]
}
