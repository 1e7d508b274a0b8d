//! Volumes: unique names, one source each.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::check;
use crate::names;
use crate::quantity::Quantity;

/// What a source must name.
const REQUIRED: [(&str, &str); 5] = [
    ("configMap", "name"),
    ("secret", "secretName"),
    ("hostPath", "path"),
    ("persistentVolumeClaim", "claimName"),
    ("csi", "driver"),
];

/// Returns the names, which containers may mount.
pub(super) fn validate<'a>(volumes: &'a Value, path: &Path<'_>, errors: &mut Vec<Error>) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    for (index, volume) in items(volumes) {
        let path = path.index(index);
        let name = text(&volume["name"]);
        if check::required(&volume["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        let mut sources = entries(volume).filter(|(key, source)| *key != "name" && source.is_object());
        if sources.next().is_none() {
            errors.push(Error::required(&path, "must specify a volume type"));
        }
        for (source, _) in sources {
            errors.push(Error::forbidden(&path.child(source), "may not specify more than 1 volume type"));
        }
        for (source, field) in REQUIRED {
            if volume[source].is_object() {
                check::required(&volume[source][field], &path.child(source).child(field), errors);
            }
        }
        if let Some(limit) = volume["emptyDir"]["sizeLimit"].as_str() {
            let path = path.child("emptyDir");
            match limit.parse::<Quantity>() {
                Err(error) => errors.push(Error::invalid(&path.child("sizeLimit"), limit, error.to_string())),
                Ok(amount) if amount.is_negative() => {
                    errors.push(Error::forbidden(
                        &path.child("sizeLimit"),
                        "SizeLimit field must be a valid resource quantity",
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    seen
}
