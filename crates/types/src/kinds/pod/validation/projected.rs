//! Files that are made of objects: from ConfigMaps, Secrets, the pod's own fields, tokens and bundles of certificates.

use std::collections::HashSet;

use serde_json::Value;

use super::environment;
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::check;

const MODE_MAX: i64 = 0o777;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
/// The pod's own fields that a file may have.
const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

fn mode(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if value.as_i64().is_some_and(|mode| !(0..=MODE_MAX).contains(&mode)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(Error::invalid(path, value.clone(), why));
    }
}

/// A ConfigMap or a Secret.
pub(super) fn files(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    mode(&source["defaultMode"], &path.child("defaultMode"), errors);
    keys(source, path, errors);
}

fn keys(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("items");
    for (index, item) in items(&source["items"]) {
        let path = list.index(index);
        check::required(&item["key"], &path.child("key"), errors);
        check::required(&item["path"], &path.child("path"), errors);
        check::file_path(text(&item["path"]), &path.child("path"), errors);
        mode(&item["mode"], &path.child("mode"), errors);
    }
}

/// The pod's own fields. Kubernetes tells where the list is, not which element of it is wrong.
pub(super) fn downward(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    mode(&source["defaultMode"], &path.child("defaultMode"), errors);
    for (_, file) in items(&source["items"]) {
        check::required(&file["path"], &path.child("path"), errors);
        check::file_path(text(&file["path"]), &path.child("path"), errors);
        mode(&file["mode"], &path.child("mode"), errors);
        match (file["fieldRef"].is_object(), file["resourceFieldRef"].is_object()) {
            (true, both) => {
                environment::field(&file["fieldRef"], &FIELDS, &path.child("fieldRef"), errors);
                if both {
                    let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                    errors.push(Error::invalid(path, "resource", why));
                }
            }
            (false, true) => {
                environment::resource(&file["resourceFieldRef"], true, &path.child("resourceFieldRef"), errors);
            }
            (false, false) => {
                errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required"));
            }
        }
    }
}

/// Several of these in one directory.
pub(super) fn validate(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    mode(&source["defaultMode"], &path.child("defaultMode"), errors);
    let mut taken: HashSet<&str> = HashSet::new();
    let list = path.child("sources");
    for (index, projection) in items(&source["sources"]) {
        let at = list.index(index);
        for kind in ["secret", "configMap"] {
            let source = &projection[kind];
            if source.is_object() {
                check::required(&source["name"], &at.child(kind).child("name"), errors);
                keys(source, &at.child(kind), errors);
            }
        }
        if projection["downwardAPI"].is_object() {
            downward(&projection["downwardAPI"], &at.child("downwardAPI"), errors);
        }
        let token = &projection["serviceAccountToken"];
        if token.is_object() {
            let at = at.child("serviceAccountToken");
            let seconds = &token["expirationSeconds"];
            let why = match seconds.as_i64() {
                Some(..TOKEN_SECONDS_MIN) => Some("may not specify a duration less than 10 minutes"),
                Some(seconds) if seconds > TOKEN_SECONDS_MAX => {
                    Some("may not specify a duration larger than 2^32 seconds")
                }
                _ => None,
            };
            if let Some(why) = why {
                errors.push(Error::invalid(&at.child("expirationSeconds"), seconds.clone(), why));
            }
            if check::required(&token["path"], &path.child("path"), errors) {
                check::file_path(text(&token["path"]), &path.child("path"), errors);
            }
        }
        if projection["clusterTrustBundle"].is_object() {
            bundle(&projection["clusterTrustBundle"], &at.child("clusterTrustBundle"), errors);
        }
        for (kind, source) in entries(projection) {
            let files = items(&source["items"]).map(|(_, item)| &item["path"]);
            let own = (kind == "clusterTrustBundle").then_some(&source["path"]);
            for file in files.chain(own).map(text).filter(|file| !file.is_empty()) {
                if !taken.insert(file) {
                    errors.push(Error::invalid(path, file, "conflicting duplicate paths"));
                }
            }
        }
        if entries(projection).filter(|(_, source)| source.is_object()).count() > 1 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 volume type per source"));
        }
    }
}

fn bundle(bundle: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match (bundle["name"].as_str(), bundle["signerName"].as_str()) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(path, bundle.clone(), "only one of name and signerName may be used"));
        }
        (None, None) => errors.push(Error::required(path, "either name or signerName must be specified")),
        (Some(_), None) => {
            check::required(&bundle["name"], &path.child("name"), errors);
            if bundle["labelSelector"].is_object() {
                let (path, selector) = (path.child("labelSelector"), bundle["labelSelector"].clone());
                errors.push(Error::invalid(&path, selector, "labelSelector must be unset if name is specified"));
            }
        }
        (None, Some(_)) => {
            check::required(&bundle["signerName"], &path.child("signerName"), errors);
            check::label_selector(&bundle["labelSelector"], &path.child("labelSelector"), errors);
        }
    }
    check::required(&bundle["path"], &path.child("path"), errors);
    check::file_path(text(&bundle["path"]), &path.child("path"), errors);
}
