//! VolumeAttachment: a volume that is to be attached to a node.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Attacher", "Who attaches the volume."),
        Column::string("PV", "The volume."),
        Column::string("Node", "The node."),
        Column::boolean("Attached", "Whether the volume is attached."),
        Column::AGE,
    ],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<VolumeAttachment>() },
    ..Kind::cluster::<VolumeAttachment>("volumeattachment")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    for field in ["attacher", "nodeName"] {
        check::required(&spec[field], &path.child(field), errors);
    }
    let source = path.child("source");
    let inline = spec["source"]["inlineVolumeSpec"].is_object();
    match (spec["source"]["persistentVolumeName"].as_str(), inline) {
        (None | Some(""), false) => errors
            .push(Error::required(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")),
        (Some(_), true) => errors
            .push(Error::forbidden(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")),
        _ => {}
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("spec"), &new["spec"], &old["spec"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        table::name(object),
        json!(text(&spec["attacher"])),
        json!(text(&spec["source"]["persistentVolumeName"])),
        json!(text(&spec["nodeName"])),
        json!(object["status"]["attached"] == true),
        table::object_age(object, now),
    ]
}
