//! Checks the defaults of a schema: each must have only fields that its place names, and be valid there; and together, with
//! the defaults within them, they must not come to more than a definition may add to every object.

use keelson_types::field::{Error, Path};

use crate::default::{self, Room};
use crate::node::Node;
use crate::{prune, rules, validate};

/// Bytes of all defaults of a schema, each with the defaults within it.
const BYTES_MAX: usize = 256 << 10;

/// Whether the defaults are small enough to be set in every object.
pub(crate) fn check_sizes(root: &Node, path: &Path<'_>) -> Vec<Error> {
    let mut room = Room(BYTES_MAX);
    sizes(root, &mut room);
    if room.0 > 0 {
        return Vec::new();
    }
    let detail = format!("defaults, with the defaults within them, must not come to more than {BYTES_MAX} bytes");
    vec![Error::forbidden(path, detail)]
}

fn sizes(node: &Node, room: &mut Room) {
    if let Some(default) = &node.default
        && let Some(mut default) = room.copy("", default)
    {
        default::fill(&mut default, node, room);
    }
    let additional = node.additional.node();
    for inner in node.items.as_deref().into_iter().chain(node.properties.values()).chain(additional) {
        if room.0 == 0 {
            return;
        }
        sizes(inner, room);
    }
}

pub(crate) fn check(node: &Node, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(default) = &node.default {
        let path = path.child("default");
        let mut pruned = default.clone();
        prune::value(&mut pruned, node);
        if pruned != *default {
            errors.push(Error::invalid(&path, default.clone(), "must not have unknown fields"));
        }
        let mut found = validate::embedded::check(default, node, &path);
        if found.is_empty() {
            found = validate::value(default, None, node, &path.to_string());
        }
        if found.is_empty() {
            rules::evaluate::within(default, node, &path, &mut found);
        }
        errors.extend(found);
    }
    if let Some(item) = node.items.as_deref() {
        check(item, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, field) in &node.properties {
        check(field, &properties.key(name), errors);
    }
    if let Some(additional) = node.additional.node() {
        check(additional, &path.child("additionalProperties"), errors);
    }
}
