//! Claims for devices that a pod brings, and those of them that its containers use.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;

/// Returns the names of the claims.
pub(super) fn validate<'a>(claims: &'a Value, path: &Path<'_>, errors: &mut Vec<Error>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, claim) in items(claims) {
        let path = path.index(index);
        let name = text(&claim["name"]);
        if check::required(&claim["name"], &path.child("name"), errors) {
            if seen.insert(name) {
                check::name(name, names::dns1123_label, &path.child("name"), errors);
            } else {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        match sources.iter().filter(|source| !claim[**source].is_null()).count() {
            0 => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(Error::invalid(&path, claim.clone(), why));
            }
            1 => {}
            _ => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(Error::invalid(&path, claim.clone(), why));
            }
        }
        for source in sources {
            if let Some(name) = claim[source].as_str() {
                check::name(name, names::dns1123_subdomain, &path.child(source), errors);
            }
        }
    }
    seen
}

/// A container uses claims of the pod, each once: as a whole, or single requests of it.
pub(super) fn of_container(claims: &Value, known: &BTreeSet<&str>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, claim) in items(claims) {
        let path = path.index(index);
        let (name, request) = (text(&claim["name"]), text(&claim["request"]));
        if !check::required(&claim["name"], &path, errors) {
            continue;
        }
        if !request.is_empty() {
            check::name(request, names::dns1123_label, &path.child("request"), errors);
        }
        let overlaps = seen.contains(&(name, ""))
            || if request.is_empty() {
                seen.iter().any(|(other, _)| *other == name)
            } else {
                seen.contains(&(name, request))
            };
        if overlaps {
            let shown = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            errors.push(Error::duplicate(&path, shown));
        }
        seen.insert((name, request));
        if !known.contains(name) {
            let mut error = Error::not_found(&path, name);
            error.detail = if known.is_empty() {
                "must be one of the names in pod.spec.resourceClaims which is empty".to_owned()
            } else {
                let known: Vec<&str> = known.iter().copied().collect();
                format!("must be one of the names in pod.spec.resourceClaims: {}", known.join(", "))
            };
            errors.push(error);
        }
    }
}
