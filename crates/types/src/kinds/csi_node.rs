//! CSINode: the storage drivers of a node.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSINode;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::{self, Column};

const NODE_ID_BYTES_MAX: usize = 192;

pub static KIND: Kind = Kind {
    columns: &[Column::NAME, Column::integer("Drivers", "How many drivers the node has."), Column::AGE],
    merge_rules: &[Rules { prefix: "spec", rules: &[("drivers", by("name"))] }],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<CSINode>() },
    ..Kind::cluster::<CSINode>("csinode")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let path = path.child("drivers");
    let mut seen = std::collections::HashSet::new();
    for (index, driver) in items(&object["spec"]["drivers"]) {
        let path = path.index(index);
        for field in ["name", "nodeID"] {
            check::required(&driver[field], &path.child(field), errors);
        }
        if text(&driver["nodeID"]).len() > NODE_ID_BYTES_MAX {
            errors.push(Error::too_long(&path.child("nodeID"), NODE_ID_BYTES_MAX));
        }
        if !seen.insert(text(&driver["name"])) {
            errors.push(Error::duplicate(&path.child("name"), text(&driver["name"])));
        }
        check::not_negative(&driver["allocatable"]["count"], &path.child("allocatable").child("count"), errors);
    }
}

/// A driver stays as it registered; it may come, go, and change how many volumes it takes.
fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let path = path.child("drivers");
    for (index, driver) in items(&new["spec"]["drivers"]) {
        let before = items(&old["spec"]["drivers"]).find(|(_, other)| other["name"] == driver["name"]);
        let Some((_, before)) = before else { continue };
        for field in ["nodeID", "topologyKeys"] {
            crate::meta::immutable(&path.index(index).child(field), &driver[field], &before[field], errors);
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(items(&object["spec"]["drivers"]).count()), table::object_age(object, now)]
}
