//! What a pod shares with its node, and what its operating system allows.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";

pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    network(spec, &path.child("containers"), errors);
    users(spec, path, errors);
    host_processes(spec, path, errors);
    operating_system(spec, path, errors);
}

/// On the host's network a port of a container is one of the host.
fn network(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if spec["hostNetwork"] != true {
        return;
    }
    for (index, container) in items(&spec["containers"]) {
        let path = path.index(index);
        let ports = path.child("ports");
        for (index, port) in items(&container["ports"]) {
            // Of a pod's own ports those that are open are set before.
            let host = port["hostPort"].as_i64().unwrap_or(0);
            if host != 0 && Some(host) != port["containerPort"].as_i64() {
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&ports.index(index).child("hostPort"), host, why));
            }
        }
    }
}

/// Users of its own fit with no other part of the host.
fn users(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if spec["hostUsers"] != false {
        return;
    }
    // Kubernetes writes the last two so.
    for (field, told) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec[field] == true {
            errors.push(Error::forbidden(&path.child(told), "when `pod.Spec.HostUsers` is false"));
        }
    }
}

/// Containers that are processes of a Windows host: all or none, and on its network.
fn host_processes(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let of_pod = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let (mut some, mut others) = (false, false);
    for list in LISTS {
        let path = path.child(list);
        for (index, container) in items(&spec[list]) {
            let own = container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
            if let (Some(own), Some(of_pod)) = (own, of_pod)
                && own != of_pod
            {
                let path = path.index(index);
                let context = path.child("securityContext");
                let options = context.child("windowsOptions");
                let why = "must be identical to the pod's own hostProcess";
                errors.push(Error::invalid(&options.child("hostProcess"), own, why));
            }
            let is = own.or(of_pod).unwrap_or(false);
            (some, others) = (some || is, others || !is);
        }
    }
    if some && others {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(path, "", why));
    }
    if some && spec["hostNetwork"] != true {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&path.child("hostNetwork"), false, why));
    }
}

fn operating_system(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !spec["os"].is_object() {
        return;
    }
    let system = path.child("os");
    if !check::required(&spec["os"]["name"], &system.child("name"), errors) {
        return;
    }
    check::one_of(&spec["os"]["name"], &["linux", "windows"], &system, errors);
    let context = path.child("securityContext");
    let mut refuse = |object: &Value, fields: &[&str], path: &Path<'_>, why: &str| {
        for field in fields {
            // These two are either true or not there.
            let plain = matches!(*field, "hostIPC" | "hostPID") && object[*field] == false;
            if object[*field].is_null() || plain {
                continue;
            }
            errors.push(Error::forbidden(&path.child(field), why));
        }
    };
    let on_windows = match text(&spec["os"]["name"]) {
        "linux" => false,
        "windows" => true,
        _ => return,
    };
    let (of_pod, of_container): (&[&str], &[&str]) = if on_windows {
        refuse(spec, &["hostIPC", "hostPID", "hostUsers", "shareProcessNamespace"], path, NOT_ON_WINDOWS);
        (
            &[
                "appArmorProfile",
                "fsGroup",
                "fsGroupChangePolicy",
                "runAsGroup",
                "runAsUser",
                "seLinuxChangePolicy",
                "seLinuxOptions",
                "seccompProfile",
                "supplementalGroups",
                "supplementalGroupsPolicy",
                "sysctls",
            ],
            &[
                "allowPrivilegeEscalation",
                "appArmorProfile",
                "capabilities",
                "privileged",
                "procMount",
                "readOnlyRootFilesystem",
                "runAsGroup",
                "runAsUser",
                "seLinuxOptions",
                "seccompProfile",
            ],
        )
    } else {
        (&["windowsOptions"], &["windowsOptions"])
    };
    let why = if on_windows { NOT_ON_WINDOWS } else { "windows options cannot be set for a linux pod" };
    refuse(&spec["securityContext"], of_pod, &context, why);
    for list in LISTS {
        let path = path.child(list);
        for (index, container) in items(&spec[list]) {
            let path = path.index(index);
            refuse(&container["securityContext"], of_container, &path.child("securityContext"), why);
        }
    }
}
