//! Variables of a container, and the fields and resources of the pod that they may show.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::check;
use crate::names;
use crate::quantity::Quantity;

/// The pod's own fields that a variable may show.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Those that the downward API knows at all, beside them.
const OTHER_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS_OF_BYTES: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn validate(container: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("env");
    for (index, variable) in items(&container["env"]) {
        let path = list.index(index);
        if check::required(&variable["name"], &path.child("name"), errors) {
            check::name(text(&variable["name"]), names::env_var, &path.child("name"), errors);
        }
        if variable["valueFrom"].is_object() {
            let given = !text(&variable["value"]).is_empty();
            source(&variable["valueFrom"], given, &path.child("valueFrom"), errors);
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
            [kind] => object_name(&source[*kind], &path.child(kind), errors),
            _ => errors.push(Error::invalid(&path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn object_name(reference: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if check::required(&reference["name"], &path.child("name"), errors) {
        check::name(text(&reference["name"]), names::dns1123_subdomain, &path.child("name"), errors);
    }
}

fn source(source: &Value, given: bool, path: &Path<'_>, errors: &mut Vec<Error>) {
    match entries(source).count() {
        0 => errors.push(Error::invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )),
        1 => {}
        _ => errors.push(Error::invalid(path, "", "may not have more than one field specified at a time")),
    }
    if given {
        errors.push(Error::invalid(path, "", "may not be specified when `value` is not empty"));
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if source[kind].is_object() {
            let path = path.child(kind);
            check::name(text(&source[kind]["name"]), names::dns1123_subdomain, &path.child("name"), errors);
            if check::required(&source[kind]["key"], &path.child("key"), errors) {
                check::name(text(&source[kind]["key"]), names::config_map_key, &path.child("key"), errors);
            }
        }
    }
    if source["fileKeyRef"].is_object() {
        let path = path.child("fileKeyRef");
        for field in ["key", "path", "volumeName"] {
            check::required(&source["fileKeyRef"][field], &path.child(field), errors);
        }
        check::file_path(text(&source["fileKeyRef"]["path"]), &path.child("path"), errors);
    }
    if source["fieldRef"].is_object() {
        field(&source["fieldRef"], &FIELDS, &path.child("fieldRef"), errors);
    }
    if source["resourceFieldRef"].is_object() {
        resource(&source["resourceFieldRef"], false, &path.child("resourceFieldRef"), errors);
    }
}

/// A field of the pod, one of those `supported` or an entry of its labels or annotations.
pub(super) fn field(selector: &Value, supported: &[&str], path: &Path<'_>, errors: &mut Vec<Error>) {
    let field_path = path.child("fieldPath");
    if !check::required(&selector["fieldPath"], &field_path, errors) {
        return;
    }
    let field = text(&selector["fieldPath"]);
    let version = text(&selector["apiVersion"]);
    if !matches!(version, "" | "v1") {
        let why = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(Error::invalid(&field_path, field, why));
        return;
    }
    let entry = field.strip_suffix("']").and_then(|field| field.split_once("['"));
    match entry {
        Some(("metadata.annotations", key)) => check::name(&key.to_lowercase(), names::qualified_name, path, errors),
        Some(("metadata.labels", key)) => check::name(key, names::qualified_name, path, errors),
        _ if supported.contains(&field) => {}
        _ if FIELDS.contains(&field) || OTHER_FIELDS.contains(&field) => {
            errors.push(Error::not_supported(&field_path, field, supported));
        }
        _ => {
            let why = format!("error converting fieldPath: field label not supported: {field}");
            errors.push(Error::invalid(&field_path, field, why));
        }
    }
}

/// What a container requests or is limited to; in a file it must be said which container.
pub(super) fn resource(selector: &Value, file: bool, path: &Path<'_>, errors: &mut Vec<Error>) {
    let resource = text(&selector["resource"]);
    let pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if file && text(&selector["containerName"]).is_empty() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if check::required(&selector["resource"], &path.child("resource"), errors)
        && !RESOURCES.contains(&resource)
        && !pages
    {
        errors.push(Error::not_supported(&path.child("resource"), resource, &RESOURCES));
    }
    let Ok(divisor) = text(&selector["divisor"]).parse::<Quantity>() else { return };
    let shown = divisor.to_string();
    let supported: &[&str] = if resource.ends_with(".cpu") { &["1m", "1"] } else { &DIVISORS_OF_BYTES };
    let known = RESOURCES.contains(&resource) || pages;
    if divisor != Quantity::ZERO && known && !supported.contains(&shown.as_str()) {
        let why = format!("only divisors {} are supported with this resource", supported.join(", "));
        errors.push(Error::invalid(&path.child("divisor"), resource, why));
    }
}
