//! Reading a schema's keywords without ever panicking on their shape. `null` is the same as absent.

use serde_json::{Map, Value};

/// The value of a keyword, unless it is absent or null.
pub(crate) fn get<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    schema.get(keyword).filter(|value| !value.is_null())
}

/// The text, or nothing when it is absent.
pub(crate) fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a keyword is true.
pub(crate) fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements of a list with their positions; none when it is absent.
pub(crate) fn items<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().enumerate()
}

/// The entries of a map; none when it is absent.
pub(crate) fn entries<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// Whether a list, a map or a text has nothing in it, or is absent.
pub(crate) fn is_empty(schema: &Value, keyword: &str) -> bool {
    match schema.get(keyword) {
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        None | Some(Value::Null) => true,
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// The texts of a list.
pub(crate) fn texts(schema: &Value, keyword: &str) -> Vec<String> {
    items(schema, keyword).filter_map(|(_, value)| value.as_str()).map(str::to_owned).collect()
}

/// Equal as JSON: 1 and 1.0 are the same number.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => equal_maps(left, right),
        (left, right) => left == right,
    }
}

fn equal_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len() && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
}
