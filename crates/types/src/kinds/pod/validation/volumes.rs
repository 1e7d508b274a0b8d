//! Volumes: unique names, one source each.

use std::collections::HashMap;

use serde_json::Value;

use super::sources;
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::check;
use crate::names;

/// Returns the volumes by their names: containers may mount them.
pub(super) fn validate<'a>(
    volumes: &'a Value,
    path: &Path<'_>,
    errors: &mut Vec<Error>,
) -> HashMap<&'a str, &'a Value> {
    let mut seen = HashMap::new();
    for (index, volume) in items(volumes) {
        let path = path.index(index);
        let name = text(&volume["name"]);
        if check::required(&volume["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
            if seen.insert(name, volume).is_some() {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        let mut sources = entries(volume).filter(|(key, source)| *key != "name" && source.is_object());
        match sources.next() {
            None => errors.push(Error::required(&path, "must specify a volume type")),
            Some((kind, source)) => sources::validate(kind, source, &path, errors),
        }
        for (source, _) in sources {
            errors.push(Error::forbidden(&path.child(source), "may not specify more than 1 volume type"));
        }
    }
    seen
}
