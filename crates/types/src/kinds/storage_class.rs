//! StorageClass: a way to make volumes.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_text, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::names;
use crate::table::{self, Column};

const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub static KIND: Kind = Kind {
    short_names: &["sc"],
    columns: &[
        Column::NAME,
        Column::string("Provisioner", "Who makes the volumes."),
        Column::string("ReclaimPolicy", "What happens to volumes that nobody claims any more."),
        Column::string("VolumeBindingMode", "When volumes are made and bound."),
        Column::boolean("AllowVolumeExpansion", "Whether volumes can grow."),
        Column::AGE,
    ],
    behaviour: Behaviour { default, validate, validate_update, cells, ..Behaviour::of::<StorageClass>() },
    ..Kind::cluster::<StorageClass>("storageclass")
};

fn default(object: &mut Value) {
    default_text(object, "reclaimPolicy", "Delete");
    default_text(object, "volumeBindingMode", "Immediate");
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("provisioner");
    if check::required(&object["provisioner"], &path, errors) {
        let lower = text(&object["provisioner"]).to_ascii_lowercase();
        check::name(&lower, names::qualified_name, &path, errors);
    }
    check::one_of(&object["reclaimPolicy"], &["Delete", "Retain"], &Path::new("reclaimPolicy"), errors);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    check::one_of(&object["volumeBindingMode"], &modes, &Path::new("volumeBindingMode"), errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if new[field] != old[field] {
            errors.push(Error::forbidden(&Path::new(field), format!("updates to {field} are forbidden.")));
        }
    }
    let mode = "volumeBindingMode";
    meta::immutable(&Path::new(mode), &new[mode], &old[mode], errors);
}

/// Whether claims that name no class get this one.
pub fn is_default(object: &Value) -> bool {
    DEFAULT_ANNOTATIONS.iter().any(|annotation| object["metadata"]["annotations"][*annotation] == "true")
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let name = text(&object["metadata"]["name"]);
    vec![
        json!(if is_default(object) { format!("{name} (default)") } else { name.to_owned() }),
        json!(text(&object["provisioner"])),
        json!(text(&object["reclaimPolicy"])),
        json!(text(&object["volumeBindingMode"])),
        json!(object["allowVolumeExpansion"] == true),
        table::object_age(object, now),
    ]
}
