//! Checks the defaults of a schema: each must have only fields that its place names, and be valid there.

use keelson_types::field::{Error, Path};

use crate::node::Node;
use crate::{prune, rules, validate};

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
