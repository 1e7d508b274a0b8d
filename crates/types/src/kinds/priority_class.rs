//! PriorityClass: which pods go first.

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_text, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};

/// The highest value of a class that is not the system's own.
const VALUE_MAX: i64 = 1_000_000_000;
/// The system's classes, which no other may call itself.
const SYSTEM: [(&str, i64); 2] = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

pub static KIND: Kind = Kind {
    short_names: &["pc"],
    columns: &[
        Column::NAME,
        Column::integer("Value", "The priority of pods of this class."),
        Column::boolean("Global-Default", "Whether pods that name no class get this one."),
        Column::AGE,
        Column::string("PreemptionPolicy", "Whether pods of this class may displace others."),
    ],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<PriorityClass>()
    },
    ..Kind::cluster::<PriorityClass>("priorityclass")
};

fn default(object: &mut Value) {
    default_text(object, "preemptionPolicy", "PreemptLowerPriority");
    crate::json::default_to(object, "value", 0);
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let name = text(&object["metadata"]["name"]);
    let value = object["value"].as_i64().unwrap_or(0);
    if name.starts_with("system-") {
        let known = SYSTEM.contains(&(name, value)) && object["globalDefault"] != true;
        if !known {
            let metadata = Path::new("metadata");
            errors.push(Error::forbidden(
                &metadata.child("name"),
                "priority class names with 'system-' prefix are reserved for system use only",
            ));
        }
    } else if value > VALUE_MAX {
        let why = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
        errors.push(Error::forbidden(&Path::new("value"), why));
    }
    let policy = Path::new("preemptionPolicy");
    check::one_of(&object["preemptionPolicy"], &["Never", "PreemptLowerPriority"], &policy, errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    for field in ["value", "preemptionPolicy"] {
        if new[field] != old[field] {
            errors.push(Error::forbidden(&Path::new(field), "may not be changed in an update."));
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        table::name(object),
        json!(object["value"].as_i64().unwrap_or(0)),
        json!(object["globalDefault"] == true),
        table::object_age(object, now),
        json!(text(&object["preemptionPolicy"])),
    ]
}
