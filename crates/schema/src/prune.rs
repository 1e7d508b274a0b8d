//! Removes what a schema does not name.

use serde_json::Value;

use crate::node::Node;

/// Kept in every whole object, and told of by nobody.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes the fields of a whole object that `node` does not name; returns their paths, sorted.
pub(crate) fn object(value: &mut Value, node: &Node) -> Vec<String> {
    let mut pruning = Pruning { path: String::new(), removed: Vec::new() };
    if node.preserves_unknown {
        pruning.known_only(value, node, true);
    } else {
        pruning.value(value, Some(node), true);
    }
    pruning.removed.sort();
    pruning.removed
}

/// The same for a value within an object, such as a default.
pub(crate) fn value(value: &mut Value, node: &Node) -> Vec<String> {
    let mut pruning = Pruning { path: String::new(), removed: Vec::new() };
    pruning.value(value, Some(node), node.embedded);
    pruning.removed
}

struct Pruning {
    path: String,
    removed: Vec<String>,
}

impl Pruning {
    /// Without a node nothing is named: every field goes, and those within lists too.
    fn value(&mut self, value: &mut Value, node: Option<&Node>, whole_object: bool) {
        if let Some(node) = node.filter(|node| node.preserves_unknown) {
            return self.known_only(value, node, whole_object);
        }
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                if whole_object && OF_OBJECTS.contains(&name.as_str()) {
                    return true;
                }
                let known = node.and_then(|node| match node.properties.get(name) {
                    Some(field) => Some(Some(field)),
                    None => {
                        (!matches!(node.additional, crate::node::Additional::Unsaid)).then(|| node.additional.node())
                    }
                });
                match known {
                    Some(node) => self.within_field(name, |pruning| pruning.child(value, node)),
                    None => {
                        if !self.path.is_empty() || !OF_OBJECTS.contains(&name.as_str()) {
                            self.within_field(name, |pruning| pruning.removed.push(pruning.path.clone()));
                        }
                    }
                }
                known.is_some()
            }),
            Value::Array(elements) => {
                let item = node.and_then(|node| node.items.as_deref());
                for (index, element) in elements.iter_mut().enumerate() {
                    self.within(&format!("[{index}]"), |pruning| pruning.child(element, item));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Where unknown fields are kept, what is named is pruned all the same.
    fn known_only(&mut self, value: &mut Value, node: &Node, whole_object: bool) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if whole_object && OF_OBJECTS.contains(&name.as_str()) {
                        continue;
                    }
                    if let Some(field) = node.properties.get(name) {
                        self.within_field(name, |pruning| pruning.child(value, Some(field)));
                    } else if !matches!(node.additional, crate::node::Additional::Unsaid) {
                        self.within_field(name, |pruning| pruning.child(value, node.additional.node()));
                    }
                }
            }
            Value::Array(elements) => {
                let Some(item) = node.items.as_deref() else { return };
                for (index, element) in elements.iter_mut().enumerate() {
                    self.within(&format!("[{index}]"), |pruning| pruning.known_only(element, item, item.embedded));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn child(&mut self, value: &mut Value, node: Option<&Node>) {
        self.value(value, node, node.is_some_and(|node| node.embedded));
    }

    fn within_field(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.within(&format!("{dot}{name}"), visit);
    }

    fn within(&mut self, segment: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(segment);
        visit(self);
        self.path.truncate(length);
    }
}
