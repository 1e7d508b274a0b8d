//! Quantities may be written as numbers (`cpu: 1`); they are kept as canonical text.

use serde_json::Value;

use crate::quantity::Quantity;

/// Maps of quantities, wherever they occur in the kinds here.
const MAPS: &[&str] = &["limits", "requests", "capacity", "allocatable", "allocatedResources", "overhead"];
/// Single quantities.
const SCALARS: &[&str] = &["sizeLimit", "divisor"];

/// Rewrites numbers and non-canonical text. What is no quantity stays, for validation to refuse with its path.
pub(super) fn to_text(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map.iter_mut() {
                if SCALARS.contains(&key.as_str()) {
                    canonical(child);
                } else if MAPS.contains(&key.as_str())
                    && let Some(quantities) = child.as_object_mut()
                {
                    quantities.values_mut().for_each(canonical);
                } else if !matches!(key.as_str(), "labels" | "annotations" | "data" | "stringData") {
                    to_text(child);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(to_text),
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
