//! CSIDriver: what a storage driver can do and wants.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIDriver;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, items, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::boolean("AttachRequired", "Whether volumes are attached before they are mounted."),
        Column::boolean("PodInfoOnMount", "Whether the driver is told about the pod."),
        Column::boolean("StorageCapacity", "Whether the driver tells how much room there is."),
        Column::string("TokenRequests", "Audiences of the tokens that the driver gets."),
        Column::boolean("RequiresRepublish", "Whether volumes are published again and again."),
        Column::string("Modes", "Kinds of volumes that the driver makes."),
        Column::AGE,
    ],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<CSIDriver>()
    },
    ..Kind::cluster::<CSIDriver>("csidriver")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_to(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        default_to(spec, field, false);
    }
    default_text(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    default_to(spec, "volumeLifecycleModes", json!(["Persistent"]));
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    check::one_of(&spec["fsGroupPolicy"], &policies, &path.child("fsGroupPolicy"), errors);
    let modes = path.child("volumeLifecycleModes");
    for (index, mode) in items(&spec["volumeLifecycleModes"]) {
        check::one_of(mode, &["Ephemeral", "Persistent"], &modes.index(index), errors);
    }
    let requests = path.child("tokenRequests");
    let mut seen = std::collections::HashSet::new();
    for (index, request) in items(&spec["tokenRequests"]) {
        if !seen.insert(text(&request["audience"])) {
            errors.push(Error::duplicate(&requests.index(index).child("audience"), text(&request["audience"])));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    for field in ["attachRequired", "volumeLifecycleModes"] {
        meta::immutable(&path.child(field), &new["spec"][field], &old["spec"][field], errors);
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let audiences: Vec<&str> = items(&spec["tokenRequests"]).map(|(_, request)| text(&request["audience"])).collect();
    let modes: Vec<&str> = items(&spec["volumeLifecycleModes"]).map(|(_, mode)| text(mode)).collect();
    let list = |list: Vec<&str>, empty: &str| if list.is_empty() { empty.to_owned() } else { list.join(",") };
    vec![
        table::name(object),
        json!(spec["attachRequired"] != false),
        json!(spec["podInfoOnMount"] == true),
        json!(spec["storageCapacity"] == true),
        json!(list(audiences, "<unset>")),
        json!(spec["requiresRepublish"] == true),
        json!(list(modes, "<none>")),
        table::object_age(object, now),
    ]
}
