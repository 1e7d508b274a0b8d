//! PersistentVolume: storage that outlives pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, json};

use super::{check, pod, resources};
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, entries, items, set, text};
use crate::kind::{Behaviour, Kind};
use crate::names;
use crate::table::{self, Column};

/// Fields of the spec that are no volume source.
const NO_SOURCE: [&str; 9] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];
pub(super) const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub static KIND: Kind = Kind {
    short_names: &["pv"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Capacity", "How much fits."),
        Column::string("Access Modes", "How the volume can be mounted."),
        Column::string("Reclaim Policy", "What happens to the volume when nobody claims it any more."),
        Column::string("Status", "Whether the volume is bound."),
        Column::string("Claim", "The claim that it is bound to."),
        Column::string("StorageClass", "The class of the volume."),
        Column::string("VolumeAttributesClass", "The class of changeable attributes of the volume."),
        Column::string("Reason", "Why the volume is in its state."),
        Column::AGE,
        Column::string("VolumeMode", "Whether the volume is a file system or a block device.").wide(),
    ],
    behaviour: Behaviour {
        default,
        prepare_create,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<PersistentVolume>()
    },
    ..Kind::cluster::<PersistentVolume>("persistentvolume")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    default_text(spec, "volumeMode", "Filesystem");
    if let Some(host_path) = spec.get_mut("hostPath").filter(|source| source.is_object()) {
        default_to(host_path, "type", "");
    }
    pod::defaults::storage(spec);
}

fn prepare_create(object: &mut Value) {
    set(object, "status", json!({"phase": "Pending"}));
}

fn sources(spec: &Value) -> Vec<(&String, &Value)> {
    entries(spec).filter(|(field, _)| !NO_SOURCE.contains(&field.as_str())).collect()
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    access_modes(&spec["accessModes"], &path.child("accessModes"), errors);
    let capacity = path.child("capacity");
    if entries(&spec["capacity"]).next().is_none() {
        errors.push(Error::required(&capacity, ""));
    } else if entries(&spec["capacity"]).any(|(resource, _)| resource != "storage") {
        errors.push(Error::not_supported(&capacity, spec["capacity"].clone(), &["storage"]));
    }
    resources::validate_positive(&spec["capacity"], &capacity, errors);
    let found = sources(spec);
    match found.as_slice() {
        [] => errors.push(Error::required(&path, "must specify a volume type")),
        [_] => {}
        [_, more @ ..] => {
            for (source, _) in more {
                errors.push(Error::forbidden(&path.child(source), "may not specify more than 1 volume type"));
            }
        }
    }
    if let Some((kind, source)) = found.first() {
        pod::validation::sources::validate(kind, source, &path, errors);
    }
    if spec["local"].is_object() && !spec["nodeAffinity"].is_object() {
        errors.push(Error::required(&path.child("nodeAffinity"), "Local volume requires node affinity"));
    }
    validate_secrets(spec, &path, errors);
    let affinity = path.child("nodeAffinity");
    if spec["nodeAffinity"].is_object() {
        let (required, path) = (&spec["nodeAffinity"]["required"], affinity.child("required"));
        if required.is_object() {
            pod::validation::scheduling::node_selector(required, &path, errors);
        } else {
            errors.push(Error::required(&path, "must specify required node constraints"));
        }
    }
    if text(&spec["hostPath"]["path"]) == "/" && spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        let why = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(Error::forbidden(&path.child("persistentVolumeReclaimPolicy"), why));
    }
    check::one_of(
        &spec["persistentVolumeReclaimPolicy"],
        &["Delete", "Recycle", "Retain"],
        &path.child("persistentVolumeReclaimPolicy"),
        errors,
    );
    check::one_of(&spec["volumeMode"], &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    let class = text(&spec["storageClassName"]);
    if !class.is_empty() {
        check::name(class, names::dns1123_subdomain, &path.child("storageClassName"), errors);
    }
}

/// A volume is in no namespace, so it says in which one its secrets are.
fn validate_secrets(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if spec["csi"].is_object() {
        let path = path.child("csi");
        check::required(&spec["csi"]["volumeHandle"], &path.child("volumeHandle"), errors);
        for (field, reference) in entries(&spec["csi"]).filter(|(field, _)| field.ends_with("SecretRef")) {
            if reference.is_object() {
                let path = path.child(field);
                check::required(&reference["namespace"], &path.child("namespace"), errors);
            }
        }
    }
    for kind in ["cinder", "storageos"] {
        let reference = &spec[kind]["secretRef"];
        if reference.is_object() {
            let path = path.child(kind);
            check::required(&reference["namespace"], &path.child("secretRef").child("namespace"), errors);
        }
    }
    if spec["azureFile"]["secretNamespace"] == "" {
        errors.push(Error::required(&path.child("azureFile").child("secretNamespace"), ""));
    }
}

/// At least one, all known, and `ReadWriteOncePod` alone.
pub(super) fn access_modes(modes: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let count = items(modes).count();
    if count == 0 {
        errors.push(Error::required(path, "at least 1 access mode is required"));
    }
    for (_, mode) in items(modes) {
        check::one_of(mode, &ACCESS_MODES, path, errors);
    }
    if count > 1 && items(modes).any(|(_, mode)| text(mode) == "ReadWriteOncePod") {
        errors.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let (new, old) = (&new["spec"], &old["spec"]);
    if sources(new) != sources(old) {
        errors.push(Error::forbidden(
            &path.child("persistentvolumesource"),
            "spec.persistentvolumesource is immutable after creation",
        ));
    }
    crate::meta::immutable(&path.child("volumeMode"), &new["volumeMode"], &old["volumeMode"], errors);
    if !old["nodeAffinity"].is_null() {
        let affinity = "nodeAffinity";
        crate::meta::immutable(&path.child(affinity), &new[affinity], &old[affinity], errors);
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let claim = &spec["claimRef"];
    let claim = if claim.is_object() {
        format!("{}/{}", text(&claim["namespace"]), text(&claim["name"]))
    } else {
        String::new()
    };
    let phase = if object["metadata"]["deletionTimestamp"].is_null() { text(&status["phase"]) } else { "Terminating" };
    vec![
        table::name(object),
        json!(text(&spec["capacity"]["storage"])),
        json!(short_modes(&spec["accessModes"])),
        json!(text(&spec["persistentVolumeReclaimPolicy"])),
        json!(phase),
        json!(claim),
        json!(text(&spec["storageClassName"])),
        unset(&spec["volumeAttributesClassName"]),
        json!(text(&status["reason"])),
        table::object_age(object, now),
        unset(&spec["volumeMode"]),
    ]
}

pub(super) fn unset(value: &Value) -> Value {
    json!(match text(value) {
        "" => "<unset>",
        known => known,
    })
}

/// `RWO,ROX`
pub(super) fn short_modes(modes: &Value) -> String {
    let has = |word: &str| items(modes).any(|(_, mode)| text(mode) == word);
    let shown: Vec<&str> =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")]
            .into_iter()
            .filter(|(mode, _)| has(mode))
            .map(|(_, short)| short)
            .collect();
    shown.join(",")
}
