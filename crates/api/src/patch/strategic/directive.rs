//! The `$`-directives: finding, checking and removing them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::order::{ElementKey, Keyed};
use crate::patch::Error;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";
pub(super) const SET_ELEMENT_ORDER: &str = "$setElementOrder/";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Replace,
    Delete,
    Merge,
}

/// Takes the `$patch` directive out of a map.
pub(super) fn take(patch: &mut Map<String, Value>, path: &str) -> Result<Option<Directive>, Error> {
    let Some(directive) = patch.remove(PATCH) else { return Ok(None) };
    match directive.as_str() {
        Some("replace") => Ok(Some(Directive::Replace)),
        Some("delete") => Ok(Some(Directive::Delete)),
        Some("merge") => Ok(Some(Directive::Merge)),
        _ => Err(Error::Malformed(format!(
            "{}unknown patch type found: {directive}; $patch is replace, delete or merge",
            prefix(path)
        ))),
    }
}

/// The list that a directive about field `field` carries.
pub(super) fn list(value: Value, directive: &str, field: &str) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(Error::Malformed(format!("{directive}{field} must be a list, got {other}"))),
    }
}

/// Applies `$retainKeys`: what it does not name leaves the object.
pub(super) fn retain_keys(
    object: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    path: &str,
) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys: HashSet<String> = match keys {
        Value::Array(keys) => keys
            .into_iter()
            .map(|key| match key {
                Value::String(key) => Ok(key),
                other => Err(Error::Malformed(format!("{}$retainKeys must list strings, got {other}", prefix(path)))),
            })
            .collect::<Result<_, _>>()?,
        other => return Err(Error::Malformed(format!("{}$retainKeys must be a list, got {other}", prefix(path)))),
    };
    for (field, value) in patch.iter() {
        if !value.is_null() && !is_directive(field) && !keys.contains(field) {
            return Err(Error::Malformed(format!(
                "{}$retainKeys does not name {field}, which the patch sets",
                prefix(path)
            )));
        }
    }
    object.retain(|field, _| keys.contains(field));
    Ok(())
}

/// A patch's list of maps, sorted by what its elements ask for.
pub(super) struct SplitList {
    /// The other elements replace the list.
    pub replace: bool,
    pub deleted: HashSet<ElementKey>,
    pub elements: Vec<Value>,
}

pub(super) fn split_list(patch: Vec<Value>, keyed: &Keyed) -> Result<SplitList, Error> {
    let mut split = SplitList { replace: false, deleted: HashSet::new(), elements: Vec::with_capacity(patch.len()) };
    for mut element in patch {
        let directive = match element.as_object_mut() {
            Some(map) => take(map, keyed.path())?,
            None => None,
        };
        match directive {
            Some(Directive::Replace) => split.replace = true,
            Some(Directive::Delete) => {
                split.deleted.insert(keyed.required_key(&element)?);
            }
            Some(Directive::Merge) | None => split.elements.push(element),
        }
    }
    Ok(split)
}

/// Whether a list's element only removes something or steers, so that it has no place in an order.
pub(super) fn is_marker(element: &Value) -> bool {
    element.get(PATCH).is_some_and(|directive| directive != "merge")
}

/// What of a patch's value becomes part of an object that had no such field: no directives, no nulls. None when nothing is
/// left to set because the value only deletes.
pub(in crate::patch) fn stripped(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.get(PATCH).is_some_and(|directive| directive == "delete") => None,
        Value::Object(map) if map.len() == 1 && map.contains_key(PATCH) => None,
        Value::Object(map) => Some(Value::Object(stripped_map(map))),
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(stripped).collect())),
        scalar => Some(scalar),
    }
}

pub(super) fn stripped_map(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter()
        .filter(|(field, value)| !value.is_null() && !is_directive(field))
        .filter_map(|(field, value)| Some((field, stripped(value)?)))
        .collect()
}

fn is_directive(field: &str) -> bool {
    field == PATCH
        || field == RETAIN_KEYS
        || field.starts_with(DELETE_FROM_PRIMITIVE_LIST)
        || field.starts_with(SET_ELEMENT_ORDER)
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}
