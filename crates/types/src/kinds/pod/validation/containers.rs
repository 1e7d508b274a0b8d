//! Containers: names, images, ports, mounts, resources.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{claims, environment, mounts, probes, security};
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::{check, resources};
use crate::names;

const RESTART_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// What the pod has that its containers name.
pub(super) struct Around<'a> {
    pub volumes: HashMap<&'a str, &'a Value>,
    pub claims: BTreeSet<&'a str>,
}

/// Validates every container of the pod.
pub(super) fn validate(spec: &Value, around: &Around<'_>, path: &Path<'_>, errors: &mut Vec<Error>) {
    if items(&spec["containers"]).next().is_none() {
        errors.push(Error::required(&path.child("containers"), ""));
    }
    let mut seen = HashSet::new();
    let mut host_ports = HashSet::new();
    let host_users = spec["hostUsers"] != false;
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
            environment::validate(container, &path, errors);
            mounts::validate(container, &around.volumes, &path, errors);
            let resources = path.child("resources");
            resources::validate_container(&container["resources"], &resources, errors);
            claims::of_container(&container["resources"]["claims"], &around.claims, &resources.child("claims"), errors);
            security::of_container(&container["securityContext"], host_users, &path.child("securityContext"), errors);
            let grace = spec["terminationGracePeriodSeconds"].as_i64();
            probes::validate(container, list == "initContainers", grace, &path, errors);
            if list != "ephemeralContainers" {
                restart_policy(container, &path, errors);
            }
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
        if !text(&port["hostIP"]).is_empty() {
            check::address(&port["hostIP"], &path.child("hostIP"), errors);
        }
    }
}

/// When a container is started again, whatever the pod says. Rules go with a policy, and one that always restarts needs none.
fn restart_policy(container: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let policy = path.child("restartPolicy");
    check::one_of(&container["restartPolicy"], &["Always", "Never", "OnFailure"], &policy, errors);
    let count = items(&container["restartPolicyRules"]).count();
    let rules = path.child("restartPolicyRules");
    if count > 0 && container["restartPolicy"].is_null() {
        errors.push(Error::required(&policy, "must specify restartPolicy when restart rules are used"));
    }
    if count > RESTART_RULES_MAX {
        errors.push(Error::too_many(&rules, count, RESTART_RULES_MAX));
    }
    for (index, rule) in items(&container["restartPolicyRules"]) {
        let path = rules.index(index);
        check::one_of(&rule["action"], &["Restart", "RestartAllContainers"], &path.child("action"), errors);
        let codes = path.child("exitCodes");
        if !rule["exitCodes"].is_object() {
            errors.push(Error::required(&codes, "must be specified"));
            continue;
        }
        check::one_of(&rule["exitCodes"]["operator"], &["In", "NotIn"], &codes.child("operator"), errors);
        let values = items(&rule["exitCodes"]["values"]).count();
        if values == 0 {
            errors.push(Error::required(&codes.child("values"), "must have at least one value"));
        } else if values > EXIT_CODES_MAX {
            errors.push(Error::too_many(&codes.child("values"), values, EXIT_CODES_MAX));
        }
    }
}
