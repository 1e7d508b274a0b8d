//! PersistentVolumeClaim: what a pod needs of a volume.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::persistent_volume::{access_modes, short_modes, unset};
use super::{check, resources};
use crate::field::{Error, Path};
use crate::json::{child, default_text, set, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::names;
use crate::quantity::Quantity;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["pvc"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Status", "Whether the claim is bound."),
        Column::string("Volume", "The volume that it is bound to."),
        Column::string("Capacity", "How much fits into that volume."),
        Column::string("Access Modes", "How that volume can be mounted."),
        Column::string("StorageClass", "The class of volumes that is wanted."),
        Column::string("VolumeAttributesClass", "The class of changeable attributes that is wanted."),
        Column::AGE,
        Column::string("VolumeMode", "Whether a file system or a block device is wanted.").wide(),
    ],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        default: default_claim,
        prepare_create,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<PersistentVolumeClaim>()
    },
    ..Kind::namespaced::<PersistentVolumeClaim>("persistentvolumeclaim")
};

pub(super) fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        default_text(spec, "volumeMode", "Filesystem");
    }
}

/// The older and the newer way to name a source say the same, where both can.
fn default_claim(object: &mut Value) {
    default(object);
    let Some(spec) = child(object, "spec") else { return };
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    if source.is_object() && reference.is_null() {
        set(spec, "dataSourceRef", source);
    } else if source.is_null() && reference.is_object() && text(&reference["namespace"]).is_empty() {
        set(spec, "dataSource", reference);
    }
}

fn prepare_create(object: &mut Value) {
    set(object, "status", json!({"phase": "Pending"}));
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    validate_spec(&object["spec"], &Path::new("spec"), errors);
}

/// What a claim may say, or a template of one.
pub(super) fn validate_spec(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    access_modes(&spec["accessModes"], &path.child("accessModes"), errors);
    check::label_selector(&spec["selector"], &path.child("selector"), errors);
    let resources_path = path.child("resources");
    let requests = resources_path.child("requests");
    if spec["resources"]["requests"]["storage"].is_null() {
        errors.push(Error::required(&requests.key("storage"), ""));
    }
    resources::validate_positive(&spec["resources"]["requests"], &requests, errors);
    check::one_of(&spec["volumeMode"], &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = text(&spec[field]);
        if !class.is_empty() {
            check::name(class, names::dns1123_subdomain, &path.child(field), errors);
        }
    }
    for field in ["dataSource", "dataSourceRef"] {
        validate_source(&spec[field], &path.child(field), errors);
    }
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if source.is_object() && reference.is_object() {
        if !reference["namespace"].is_null() {
            let why = "may not be specified when dataSourceRef.namespace is specified";
            errors.push(Error::invalid(&path.child("dataSource"), source.clone(), why));
        } else if source != reference {
            errors.push(Error::invalid(path, source.clone(), "must match dataSourceRef"));
        }
    }
}

/// What the volume is filled from: another claim, or an object of a group.
fn validate_source(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !source.is_object() {
        return;
    }
    check::required(&source["name"], &path.child("name"), errors);
    check::required(&source["kind"], &path.child("kind"), errors);
    let (group, kind) = (text(&source["apiGroup"]), text(&source["kind"]));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, kind, why));
    } else if !group.is_empty() {
        check::name(group, names::dns1123_subdomain, &path.child("apiGroup"), errors);
    }
    if let Some(namespace) = source["namespace"].as_str().filter(|namespace| !namespace.is_empty()) {
        check::name(namespace, names::dns1123_label, &path.child("namespace"), errors);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let bound = text(&old["status"]["phase"]) == "Bound";
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("volumeAttributesClassName");
            if bound && let Some(requests) = fields.get_mut("resources").and_then(|all| all.get_mut("requests")) {
                crate::json::set(requests, "storage", Value::Null);
            }
            // The binder, not the author, names the volume.
            if text(&old["spec"]["volumeName"]).is_empty() {
                fields.remove("volumeName");
            }
        }
        spec
    };
    let was_open = old["spec"]["storageClassName"].is_null();
    let (mut wanted, mut had) = (fixed(new), fixed(old));
    if was_open {
        for spec in [&mut wanted, &mut had] {
            crate::json::set(spec, "storageClassName", Value::Null);
        }
    }
    if wanted != had {
        errors.push(Error::forbidden(
            &path,
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let amount = |resources: &Value| text(&resources["storage"]).parse::<Quantity>().ok();
    let request = |object: &Value| amount(&object["spec"]["resources"]["requests"]);
    let has = amount(&old["status"]["capacity"]);
    // An expansion that has not come about may be taken back in part; what the volume has, it keeps.
    if bound && request(new) < request(old) && has.is_none_or(|has| request(new) <= Some(has)) {
        let resources = path.child("resources");
        let requests = resources.child("requests");
        errors.push(Error::forbidden(&requests.child("storage"), "field can not be less than status.capacity"));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = if object["metadata"]["deletionTimestamp"].is_null() { text(&status["phase"]) } else { "Terminating" };
    let volume = text(&spec["volumeName"]);
    // What the volume has counts once there is one.
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        (text(&status["capacity"]["storage"]).to_owned(), short_modes(&status["accessModes"]))
    };
    vec![
        table::name(object),
        json!(phase),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(text(&spec["storageClassName"])),
        unset(&spec["volumeAttributesClassName"]),
        table::object_age(object, now),
        unset(&spec["volumeMode"]),
    ]
}
