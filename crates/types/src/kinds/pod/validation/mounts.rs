//! Where a container sees volumes: as directories and as devices.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];

/// `volumes` are those of the pod, by their names.
pub(super) fn validate(container: &Value, volumes: &HashMap<&str, &Value>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (mounts, devices) = (&container["volumeMounts"], &container["volumeDevices"]);
    let list = path.child("volumeMounts");
    let mut seen = HashSet::new();
    for (index, mount) in items(mounts) {
        let path = list.index(index);
        let (name, mount_path) = (text(&mount["name"]), text(&mount["mountPath"]));
        let known = volumes.get(name);
        if check::required(&mount["name"], &path.child("name"), errors) && known.is_none() {
            errors.push(Error::not_found(&path.child("name"), name));
        }
        if check::required(&mount["mountPath"], &path.child("mountPath"), errors) && !seen.insert(mount_path) {
            errors.push(Error::invalid(&path.child("mountPath"), mount_path, "must be unique"));
        }
        if has(devices, "name", name) {
            errors.push(Error::invalid(&path.child("name"), name, "must not already exist in volumeDevices"));
        }
        if has(devices, "devicePath", mount_path) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&path.child("mountPath"), mount_path, why));
        }
        let (sub, expanded) = (text(&mount["subPath"]), text(&mount["subPathExpr"]));
        for (field, value) in [("subPath", sub), ("subPathExpr", expanded)] {
            if known.is_some_and(|volume| volume["image"].is_object()) && !value.is_empty() {
                errors.push(Error::invalid(&path.child(field), value, "not allowed in image volume sources"));
            }
            check::relative_path(value, &list.child(field), errors);
        }
        if !sub.is_empty() && !expanded.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&path.child("subPathExpr"), expanded, why));
        }
        // Kubernetes tells of the list for what follows, not of its element.
        propagation(container, mount, &list.child("mountPropagation"), errors);
        recursive(mount, &list.child("recursiveReadOnly"), errors);
    }
    let list = path.child("volumeDevices");
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for (index, device) in items(devices) {
        let path = list.index(index);
        let (name, device_path) = (text(&device["name"]), text(&device["devicePath"]));
        if check::required(&device["name"], &path.child("name"), errors) && !names.insert(name) {
            errors.push(Error::invalid(&path.child("name"), name, "must be unique"));
        }
        match volumes.get(name) {
            None => errors.push(Error::not_found(&path.child("name"), name)),
            Some(volume) if volume["persistentVolumeClaim"].is_object() || volume["ephemeral"].is_object() => {}
            Some(_) => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&path.child("name"), name, why));
            }
        }
        if check::required(&device["devicePath"], &path.child("devicePath"), errors) && !paths.insert(device_path) {
            errors.push(Error::invalid(&path.child("devicePath"), device_path, "must be unique"));
        }
        check::no_steps_up(device_path, &path.child("devicePath"), errors);
        if has(mounts, "name", name) {
            errors.push(Error::invalid(&path.child("name"), name, "must not already exist in volumeMounts"));
        }
        if has(mounts, "mountPath", device_path) {
            let why = "must not already exist as a path in volumeMounts";
            errors.push(Error::invalid(&path.child("devicePath"), device_path, why));
        }
    }
}

fn has(list: &Value, field: &str, value: &str) -> bool {
    !value.is_empty() && items(list).any(|(_, element)| element[field] == value)
}

fn propagation(container: &Value, mount: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::one_of(&mount["mountPropagation"], &PROPAGATIONS, path, errors);
    if mount["mountPropagation"] == "Bidirectional" && container["securityContext"]["privileged"] != true {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(path, why));
    }
}

fn recursive(mount: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::one_of(&mount["recursiveReadOnly"], &["Disabled", "Enabled", "IfPossible"], path, errors);
    if !matches!(text(&mount["recursiveReadOnly"]), "Enabled" | "IfPossible") {
        return;
    }
    if mount["readOnly"] != true {
        errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
    }
    if !matches!(text(&mount["mountPropagation"]), "" | "None") {
        errors.push(Error::forbidden(path, "may only be specified when mountPropagation is None or not specified"));
    }
}
