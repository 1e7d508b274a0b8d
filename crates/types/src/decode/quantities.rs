//! Quantities may be written as numbers (`cpu: 1`); they are kept as canonical text. The table of types tells where they are.

use serde_json::Value;

use crate::quantity::Quantity;
use crate::schema::{Message, Type, schema};

/// Rewrites numbers and non-canonical text. What is no quantity stays, for validation to refuse with its path.
pub(super) fn to_text(value: &mut Value, of: &Message) {
    let Some(fields) = value.as_object_mut() else { return };
    for (name, child) in fields.iter_mut() {
        if let Some(field) = schema().field(of, name) {
            walk(child, &field.of);
        }
    }
}

fn walk(value: &mut Value, of: &Type) {
    match of {
        Type::Quantity => canonical(value),
        Type::Message(index) => to_text(value, schema().message(*index)),
        Type::List(element) => {
            if let Some(elements) = value.as_array_mut() {
                elements.iter_mut().for_each(|child| walk(child, element));
            }
        }
        Type::Map(element) => {
            if let Some(map) = value.as_object_mut() {
                map.values_mut().for_each(|child| walk(child, element));
            }
        }
        _ => {}
    }
}

fn canonical(value: &mut Value) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    match text.parse::<Quantity>() {
        Ok(quantity) => *value = Value::String(quantity.to_string()),
        Err(_) => *value = Value::String(text),
    }
}
