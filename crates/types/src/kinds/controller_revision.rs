//! ControllerRevision: what a template was, for a way back.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("Controller", "Controller of the object"),
        Column::integer("Revision", "The number of this revision."),
        Column::AGE,
    ],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<ControllerRevision>() },
    ..Kind::namespaced::<ControllerRevision>("controllerrevision")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    check::not_negative(&object["revision"], &Path::new("revision"), errors);
    if object["data"].is_null() {
        errors.push(Error::required(&Path::new("data"), "data is mandatory"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("data"), &new["data"], &old["data"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let owner = items(&object["metadata"]["ownerReferences"]).find(|(_, owner)| owner["controller"] == true);
    let owner = match owner {
        None => "<none>".to_owned(),
        Some((_, owner)) => {
            let (kind, name) = (text(&owner["kind"]).to_ascii_lowercase(), text(&owner["name"]));
            match text(&owner["apiVersion"]).split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{name}"),
                None => format!("{kind}/{name}"),
            }
        }
    };
    vec![
        table::name(object),
        json!(owner),
        json!(object["revision"].as_i64().unwrap_or(0)),
        table::object_age(object, now),
    ]
}
