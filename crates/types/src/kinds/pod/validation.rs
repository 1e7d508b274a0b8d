//! What a pod's spec may say, in pods and in templates.

use serde_json::Value;

use super::ephemeral;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::meta;
use crate::names;

mod containers;
mod probes;
mod scheduling;
mod volumes;

/// What a template's spec may say.
pub(crate) fn spec(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    ephemeral::refuse(spec, path, "ephemeral containers not allowed in pod template", errors);
    of_pod(spec, path, errors);
}

/// What a pod's own spec may say.
pub(super) fn of_pod(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let volumes = volumes::validate(&spec["volumes"], &path.child("volumes"), errors);
    containers::validate(spec, &volumes, path, errors);
    containers::validate_resize_policies(spec, path, errors);
    ephemeral::validate(spec, path, errors);
    check::one_of(&spec["restartPolicy"], &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), errors);
    validate_dns(spec, path, errors);
    check::not_negative(&spec["terminationGracePeriodSeconds"], &path.child("terminationGracePeriodSeconds"), errors);
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        errors.push(Error::invalid(
            &path.child("activeDeadlineSeconds"),
            deadline.clone(),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    for (field, check) in [
        ("nodeName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("serviceAccountName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("schedulerName", names::qualified_name),
        ("priorityClassName", names::dns1123_subdomain),
        ("runtimeClassName", names::dns1123_subdomain),
    ] {
        let value = text(&spec[field]);
        if !value.is_empty() {
            check::name(value, check, &path.child(field), errors);
        }
    }
    meta::validate_labels(&spec["nodeSelector"], &path.child("nodeSelector"), errors);
    let aliases = path.child("hostAliases");
    for (index, alias) in items(&spec["hostAliases"]) {
        let path = aliases.index(index);
        if text(&alias["ip"]).parse::<std::net::IpAddr>().is_err() {
            errors.push(Error::invalid(
                &path.child("ip"),
                alias["ip"].clone(),
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ));
        }
        let hostnames = path.child("hostnames");
        for (index, hostname) in items(&alias["hostnames"]) {
            check::name(text(hostname), names::dns1123_subdomain, &hostnames.index(index), errors);
        }
    }
    scheduling::validate(spec, path, errors);
}

fn validate_dns(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::one_of(
        &spec["dnsPolicy"],
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        &path.child("dnsPolicy"),
        errors,
    );
    if text(&spec["dnsPolicy"]) == "None" {
        let config = path.child("dnsConfig");
        if !spec["dnsConfig"].is_object() {
            errors.push(Error::required(&config, "must provide `dnsConfig` when `dnsPolicy` is None"));
        } else if items(&spec["dnsConfig"]["nameservers"]).next().is_none() {
            errors.push(Error::required(
                &config.child("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            ));
        }
    }
}
