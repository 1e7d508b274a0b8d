//! Sets what is absent to the schema's defaults, from the outside in, so that the defaults within a default count.

use serde_json::Value;

use crate::node::Node;

/// Sets the defaults of a whole object. A null that may not be is removed first, or replaced where there is a default.
pub(crate) fn object(value: &mut Value, node: &Node) {
    remove_nulls(value, Some(node));
    fill(value, node);
}

/// Sets the defaults within a value.
pub(crate) fn fill(value: &mut Value, node: &Node) {
    match value {
        Value::Object(fields) => {
            for (name, field) in &node.properties {
                if let Some(default) = &field.default
                    && fields.get(name).is_none_or(|value| value.is_null() && !field.nullable)
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                match node.properties.get(name) {
                    Some(field) => fill(value, field),
                    None => {
                        if let Some(field) = node.additional.node() {
                            replace_null(value, field);
                            fill(value, field);
                        }
                    }
                }
            }
        }
        Value::Array(elements) => {
            let Some(item) = node.items.as_deref() else { return };
            for element in elements {
                replace_null(element, item);
                fill(element, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replace_null(value: &mut Value, node: &Node) {
    if let Some(default) = node.default.as_ref().filter(|_| value.is_null() && !node.nullable) {
        *value = default.clone();
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
