//! Containers: names, images, ports, environment, mounts, resources.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::probes;
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::{check, resources};
use crate::names;

/// Validates every container of the pod; `volumes` are the names that mounts may use.
pub(super) fn validate(spec: &Value, volumes: &HashSet<&str>, path: &Path<'_>, errors: &mut Vec<Error>) {
    if items(&spec["containers"]).next().is_none() {
        errors.push(Error::required(&path.child("containers"), ""));
    }
    let mut seen = HashSet::new();
    let mut host_ports = HashSet::new();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let path = path.child(list);
        for (index, container) in items(&spec[list]) {
            let path = path.index(index);
            let name = text(&container["name"]);
            if check::required(&container["name"], &path.child("name"), errors) {
                check::name(name, names::dns1123_label, &path.child("name"), errors);
                if !seen.insert(name) {
                    errors.push(Error::duplicate(&path.child("name"), name));
                }
            }
            validate_image(container, &path, errors);
            validate_ports(container, list == "containers", &mut host_ports, &path.child("ports"), errors);
            validate_environment(container, &path, errors);
            validate_mounts(container, volumes, &path, errors);
            resources::validate(&container["resources"], &path.child("resources"), errors);
            probes::validate(container, list == "initContainers", &path, errors);
        }
    }
}

/// Validates what resizes of the containers take.
pub(super) fn validate_resize_policies(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for list in ["containers", "initContainers"] {
        let path = path.child(list);
        for (index, container) in items(&spec[list]) {
            let path = path.index(index);
            validate_resize_policy(container, text(&spec["restartPolicy"]), &path.child("resizePolicy"), errors);
        }
    }
}

/// What a change of cpu or memory takes. A pod that is never restarted is not restarted for that either.
fn validate_resize_policy(container: &Value, pod_policy: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen = HashSet::new();
    for (_, policy) in items(&container["resizePolicy"]) {
        let resource = text(&policy["resourceName"]);
        if check::required(&policy["resourceName"], path, errors) {
            check::one_of(&policy["resourceName"], &["cpu", "memory"], path, errors);
            if !seen.insert(resource) {
                errors.push(Error::duplicate(path, resource));
            }
        }
        if check::required(&policy["restartPolicy"], path, errors) {
            check::one_of(&policy["restartPolicy"], &["NotRequired", "RestartContainer"], path, errors);
            if pod_policy == "Never" && policy["restartPolicy"] == "RestartContainer" {
                let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
                errors.push(Error::invalid(path, "RestartContainer", why));
            }
        }
    }
}

fn validate_image(container: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let image = text(&container["image"]);
    if image.is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    } else if image != image.trim() {
        errors.push(Error::invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
    }
    check::one_of(
        &container["imagePullPolicy"],
        &["Always", "IfNotPresent", "Never"],
        &path.child("imagePullPolicy"),
        errors,
    );
    check::one_of(
        &container["terminationMessagePolicy"],
        &["File", "FallbackToLogsOnError"],
        &path.child("terminationMessagePolicy"),
        errors,
    );
}

/// Containers that run at the same time may not share a port of the host.
fn validate_ports<'a>(
    container: &'a Value,
    together: bool,
    host_ports: &mut HashSet<(&'a str, &'a str, i64)>,
    path: &Path<'_>,
    errors: &mut Vec<Error>,
) {
    let mut seen = HashSet::new();
    for (index, port) in items(&container["ports"]) {
        let path = path.index(index);
        let name = text(&port["name"]);
        if !name.is_empty() {
            check::name(name, names::port_name, &path.child("name"), errors);
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => errors.push(Error::required(&path.child("containerPort"), "")),
            _ => check::port(&port["containerPort"], &path.child("containerPort"), errors),
        }
        if let Some(host_port) = port["hostPort"].as_i64().filter(|port| *port != 0) {
            check::port(&port["hostPort"], &path.child("hostPort"), errors);
            let key = (text(&port["hostIP"]), text(&port["protocol"]), host_port);
            if together && !host_ports.insert(key) {
                errors.push(Error::duplicate(&path.child("hostPort"), format!("{}/{}/{host_port}", key.1, key.0)));
            }
        }
        check::one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
    }
}

fn validate_environment(container: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("env");
    for (index, variable) in items(&container["env"]) {
        let path = list.index(index);
        if check::required(&variable["name"], &path.child("name"), errors) {
            check::name(text(&variable["name"]), names::env_var, &path.child("name"), errors);
        }
        let source = &variable["valueFrom"];
        if !source.is_object() {
            continue;
        }
        let path = path.child("valueFrom");
        match entries(source).count() {
            0 => errors.push(Error::invalid(
                &path,
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            )),
            1 => {}
            _ => errors.push(Error::invalid(&path, "", "may not have more than one field specified at a time")),
        }
        if !text(&variable["value"]).is_empty() {
            errors.push(Error::invalid(&path, "", "may not be specified when `value` is not empty"));
        }
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            if source[kind].is_object() {
                let path = path.child(kind);
                check::required(&source[kind]["name"], &path.child("name"), errors);
                if check::required(&source[kind]["key"], &path.child("key"), errors) {
                    check::name(text(&source[kind]["key"]), names::config_map_key, &path.child("key"), errors);
                }
            }
        }
        if source["fieldRef"].is_object() {
            let path = path.child("fieldRef");
            check::required(&source["fieldRef"]["fieldPath"], &path.child("fieldPath"), errors);
        }
    }
    let list = path.child("envFrom");
    for (index, source) in items(&container["envFrom"]) {
        let path = list.index(index);
        let prefix = text(&source["prefix"]);
        if !prefix.is_empty() {
            check::name(prefix, names::env_var, &path.child("prefix"), errors);
        }
        let kinds: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|kind| source[*kind].is_object()).collect();
        match kinds.as_slice() {
            [] => errors.push(Error::invalid(&path, "", "must specify one of: `configMapRef` or `secretRef`")),
            [kind] => {
                let path = path.child(kind);
                check::required(&source[*kind]["name"], &path.child("name"), errors);
            }
            _ => errors.push(Error::invalid(&path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn validate_mounts(container: &Value, volumes: &HashSet<&str>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("volumeMounts");
    let mut seen = HashSet::new();
    for (index, mount) in items(&container["volumeMounts"]) {
        let path = list.index(index);
        let (name, mount_path) = (text(&mount["name"]), text(&mount["mountPath"]));
        if check::required(&mount["name"], &path.child("name"), errors) && !volumes.contains(name) {
            errors.push(Error::not_found(&path.child("name"), name));
        }
        if check::required(&mount["mountPath"], &path.child("mountPath"), errors) && !seen.insert(mount_path) {
            errors.push(Error::invalid(&path.child("mountPath"), mount_path, "must be unique"));
        }
        let sub_path = text(&mount["subPath"]);
        if sub_path.starts_with('/') {
            errors.push(Error::invalid(&path.child("subPath"), sub_path, "must be a relative path"));
        }
        if sub_path.split('/').any(|part| part == "..") {
            errors.push(Error::invalid(&path.child("subPath"), json!(sub_path), "must not contain '..'"));
        }
    }
}
