//! What Kubernetes demands of a CustomResourceDefinition, but for its schemas.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::jsonpath::Template;
use crate::kinds::check;
use crate::meta::immutable;
use crate::names;

/// What a domain of Kubernetes' own needs, so that nobody takes one by accident.
const APPROVAL: &str = "api-approved.kubernetes.io";
/// As in Kubernetes.
const SELECTABLE_FIELDS_MAX: usize = 8;
/// Each version costs every member a kind of its own.
const VERSIONS_MAX: usize = 32;
/// Short names, and categories: each is told in every discovery document.
const NAMES_MAX: usize = 32;
/// Columns of one version: each is found in every object of a table. What people can read is far less.
const COLUMNS_MAX: usize = 32;
/// A column's path. Kubernetes has no bound; the longest in the field has some 150 bytes.
const JSON_PATH_BYTES_MAX: usize = 1024;

pub(super) fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let metadata = Path::new("metadata");
    let name = text(&object["metadata"]["name"]);
    if name != format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"])) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(Error::invalid(&metadata.child("name"), name, why));
    }
    group(object, &path.child("group"), errors);
    let scope = path.child("scope");
    if check::required(&spec["scope"], &scope, errors) {
        check::one_of(&spec["scope"], &["Cluster", "Namespaced"], &scope, errors);
    }
    validate_names(&spec["names"], &path.child("names"), errors);
    versions(&spec["versions"], &path.child("versions"), errors);
    if spec["preserveUnknownFields"] == true {
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, "must be false"));
    }
    conversion(&spec["conversion"], &path.child("conversion"), errors);
    stored_versions(object, errors);
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let names = path.child("names");
    let (new, established, old) = (&new["spec"], super::is_true(old, "Established"), &old["spec"]);
    if established {
        immutable(&path.child("scope"), &new["scope"], &old["scope"], errors);
        immutable(&names.child("kind"), &new["names"]["kind"], &old["names"]["kind"], errors);
    }
    immutable(&path.child("group"), &new["group"], &old["group"], errors);
    immutable(&names.child("plural"), &new["names"]["plural"], &old["names"]["plural"], errors);
}

fn group(object: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let group = text(&object["spec"]["group"]);
    if !check::required(&object["spec"]["group"], path, errors) {
        return;
    }
    check::name(group, names::dns1123_subdomain, path, errors);
    if !group.contains('.') {
        errors.push(Error::invalid(path, group, "should be a domain with at least one dot"));
    }
    let own = ["k8s.io", "kubernetes.io"];
    let protected =
        own.iter().any(|own| group.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    if protected && text(&object["metadata"]["annotations"][APPROVAL]).is_empty() {
        let metadata = Path::new("metadata");
        let annotations = metadata.child("annotations");
        let why = format!(
            "protected groups must have approval annotation {APPROVAL:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(Error::required(&annotations.key(APPROVAL), why));
    }
}

fn validate_names(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (field, must) in [("plural", true), ("singular", false), ("kind", true), ("listKind", true)] {
        let (value, path) = (text(&spec[field]), path.child(field));
        if value.is_empty() {
            if must {
                errors.push(Error::required(&path, ""));
            }
            continue;
        }
        let mixed = matches!(field, "kind" | "listKind");
        let checked = if mixed { value.to_lowercase() } else { value.to_owned() };
        for complaint in names::dns1035_label(&checked) {
            let why =
                if mixed { format!("may have mixed case, but should otherwise match: {complaint}") } else { complaint };
            errors.push(Error::invalid(&path, value, why));
        }
    }
    if !text(&spec["kind"]).is_empty() && spec["kind"] == spec["listKind"] {
        let why = "kind and listKind may not be the same";
        errors.push(Error::invalid(&path.child("listKind"), spec["listKind"].clone(), why));
    }
    for field in ["shortNames", "categories"] {
        let path = path.child(field);
        let count = items(&spec[field]).count();
        if count > NAMES_MAX {
            errors.push(Error::too_many(&path, count, NAMES_MAX));
            continue;
        }
        for (index, name) in items(&spec[field]) {
            check::name(text(name), names::dns1035_label, &path.index(index), errors);
        }
    }
}

fn versions(versions: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    let mut stored = 0;
    let count = items(versions).count();
    if count > VERSIONS_MAX {
        errors.push(Error::too_many(path, count, VERSIONS_MAX));
        return;
    }
    for (index, version) in items(versions) {
        let path = path.index(index);
        let name = text(&version["name"]);
        check::name(name, names::dns1035_label, &path.child("name"), errors);
        if !seen.insert(name) {
            errors.push(Error::invalid(&path.child("name"), name, "must contain unique version names"));
        }
        stored += usize::from(version["storage"] == true);
        self::version(version, &path, errors);
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(path, versions.clone(), why));
    }
}

fn version(version: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let schema = path.child("schema");
    if version["schema"]["openAPIV3Schema"].is_null() {
        errors.push(Error::required(&schema.child("openAPIV3Schema"), "schemas are required"));
    }
    if !version["deprecationWarning"].is_null() && version["deprecated"] != true {
        let why = "can only be set for deprecated versions";
        errors.push(Error::invalid(&path.child("deprecationWarning"), version["deprecationWarning"].clone(), why));
    }
    let columns = path.child("additionalPrinterColumns");
    let count = items(&version["additionalPrinterColumns"]).count();
    if count > COLUMNS_MAX {
        errors.push(Error::too_many(&columns, count, COLUMNS_MAX));
    }
    for (index, column) in items(&version["additionalPrinterColumns"]).take(COLUMNS_MAX) {
        self::column(column, &columns.index(index), errors);
    }
    let fields = path.child("selectableFields");
    let count = items(&version["selectableFields"]).count();
    if count > SELECTABLE_FIELDS_MAX {
        errors.push(Error::too_many(&fields, count, SELECTABLE_FIELDS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, field) in items(&version["selectableFields"]) {
        let path = fields.index(index);
        let path = path.child("jsonPath");
        let value = text(&field["jsonPath"]);
        if check::required(&field["jsonPath"], &path, errors) {
            match simple(value) {
                Some(plain) if plain.starts_with("metadata.") => {
                    errors.push(Error::invalid(&path, value, "must not point to fields in metadata"));
                }
                Some(_) => {}
                None => errors.push(Error::invalid(&path, value, "is an invalid path: must be a simple path")),
            }
            if !seen.insert(value) {
                errors.push(Error::duplicate(&path, value));
            }
        }
    }
    let scale = &version["subresources"]["scale"];
    if scale.is_object() {
        let path = path.child("subresources");
        let path = path.child("scale");
        let replicas: [(&str, bool, &[&str]); 3] = [
            ("specReplicasPath", true, &["spec"]),
            ("statusReplicasPath", true, &["status"]),
            ("labelSelectorPath", false, &["status", "spec"]),
        ];
        for (field, must, below) in replicas {
            let (value, path) = (text(&scale[field]), path.child(field));
            if value.is_empty() {
                if must {
                    errors.push(Error::required(&path, ""));
                }
                continue;
            }
            let fits = simple(value).is_some_and(|plain| {
                below.iter().any(|field| plain.strip_prefix(field).is_some_and(|rest| rest.starts_with('.')))
            });
            if !fits {
                let below: Vec<String> = below.iter().map(|field| format!(".{field}")).collect();
                let why = format!("should be a json path under {}", below.join(" or "));
                errors.push(Error::invalid(&path, value, why));
            }
        }
    }
}

fn column(column: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::required(&column["name"], &path.child("name"), errors);
    let kind = path.child("type");
    if check::required(&column["type"], &kind, errors) {
        check::one_of(&column["type"], &["boolean", "date", "integer", "number", "string"], &kind, errors);
    }
    let formats = ["int32", "int64", "float", "double", "byte", "date", "date-time", "password"];
    if !text(&column["format"]).is_empty() {
        check::one_of(&column["format"], &formats, &path.child("format"), errors);
    }
    let json_path = path.child("jsonPath");
    if check::required(&column["jsonPath"], &json_path, errors) {
        let value = text(&column["jsonPath"]);
        if value.len() > JSON_PATH_BYTES_MAX {
            errors.push(Error::too_long(&json_path, JSON_PATH_BYTES_MAX));
        } else if !value.starts_with('.') {
            errors.push(Error::invalid(&json_path, value, "must be a simple json path starting with ."));
        } else {
            match Template::relaxed(value) {
                Ok(path) if path.descents() > 1 => {
                    errors.push(Error::invalid(&json_path, value, "must not have .. more than once"));
                }
                Ok(_) => {}
                Err(why) => errors.push(Error::invalid(&json_path, value, why)),
            }
        }
    }
}

/// The path without its leading dot when it consists of plain fields, each by a dot.
fn simple(path: &str) -> Option<&str> {
    let plain = path.strip_prefix('.')?;
    let good = |field: &str| {
        !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    plain.split('.').all(good).then_some(plain)
}

fn conversion(conversion: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let strategy = path.child("strategy");
    match text(&conversion["strategy"]) {
        "None" => {
            if !conversion["webhook"].is_null() {
                let why = "should not be set when strategy is not set to Webhook";
                errors.push(Error::forbidden(&path.child("webhook"), why));
            }
        }
        "Webhook" => {
            let why = "conversion by a webhook is not implemented by this server; versions may differ in their schemas only (strategy None)";
            errors.push(Error::forbidden(&strategy, why));
        }
        "" => errors.push(Error::required(&strategy, "")),
        other => errors.push(Error::not_supported(&strategy, other, &["None", "Webhook"])),
    }
}

fn stored_versions(object: &Value, errors: &mut Vec<Error>) {
    let status = Path::new("status");
    let path = status.child("storedVersions");
    for (index, stored) in items(&object["status"]["storedVersions"]) {
        if !items(&object["spec"]["versions"]).any(|(_, version)| version["name"] == *stored) {
            let name = text(stored);
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until \
                 a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(Error::invalid(&path.index(index), name, why));
        }
    }
}

#[cfg(test)]
mod tests;
