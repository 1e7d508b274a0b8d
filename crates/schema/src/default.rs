//! Sets what is absent to the schema's defaults, from the outside in, so that the defaults within a default count.

use serde_json::Value;

use crate::node::Node;

/// Bytes of JSON that defaults may add to one object. More than the largest object that is stored, so that an object that is not
/// filled is refused when it is written. Defaults within defaults and in long lists would otherwise come to any size.
const ADDED_BYTES_MAX: usize = 2 << 20;

/// Sets the defaults of a whole object. A null that may not be is removed first, or replaced where there is a default.
pub(crate) fn object(value: &mut Value, node: &Node) {
    remove_nulls(value, Some(node));
    fill(value, node, &mut Room(ADDED_BYTES_MAX));
}

/// Bytes of JSON that may still be added.
pub(crate) struct Room(pub usize);

impl Room {
    /// A copy, when there is room for it. There is none for anything after the first that has none.
    pub(crate) fn copy(&mut self, name: &str, value: &Value) -> Option<Value> {
        let bytes = name.len() + bytes(value);
        match self.0.checked_sub(bytes) {
            Some(left) => self.0 = left,
            None => self.0 = 0,
        }
        (self.0 > 0).then(|| value.clone())
    }
}

/// No more than the length of its text, except for nulls, which may be replaced.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 4,
        Value::Number(_) => 1,
        Value::String(text) => 2 + text.len(),
        Value::Array(elements) => 2 + elements.iter().map(bytes).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(name, value)| 3 + name.len() + bytes(value)).sum::<usize>(),
    }
}

/// Sets the defaults within a value.
pub(crate) fn fill(value: &mut Value, node: &Node, room: &mut Room) {
    match value {
        Value::Object(fields) => {
            for (name, field) in &node.properties {
                if let Some(default) = &field.default
                    && fields.get(name).is_none_or(|value| value.is_null() && !field.nullable)
                    && let Some(default) = room.copy(name, default)
                {
                    fields.insert(name.clone(), default);
                }
            }
            for (name, value) in fields {
                match node.properties.get(name) {
                    Some(field) => fill(value, field, room),
                    None => {
                        if let Some(field) = node.additional.node() {
                            replace_null(value, field, room);
                            fill(value, field, room);
                        }
                    }
                }
            }
        }
        Value::Array(elements) => {
            let Some(item) = node.items.as_deref() else { return };
            for element in elements {
                replace_null(element, item, room);
                fill(element, item, room);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replace_null(value: &mut Value, node: &Node, room: &mut Room) {
    if let Some(default) = node.default.as_ref().filter(|_| value.is_null() && !node.nullable)
        && let Some(default) = room.copy("", default)
    {
        *value = default;
    }
}

fn remove_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let field = node.and_then(|node| node.entry(name));
            let goes = value.is_null() && field.is_some_and(|field| !field.nullable && field.default.is_none());
            if !goes {
                remove_nulls(value, field);
            }
            !goes
        }),
        Value::Array(elements) => {
            let item = node.and_then(|node| node.items.as_deref());
            for element in elements {
                remove_nulls(element, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
