//! How deep objects may be.

use serde_json::Value;

use crate::field::{self, Path};

/// Levels of objects and lists within an object. Parsers of JSON stop at 128; that of managed fields, lists, tables and watches
/// must find room around and beside it.
pub const DEPTH_MAX: usize = 110;

/// Levels of objects and lists: 0 for a text, 1 for `{}`. Recursive: only for what a parser made, or what was held to a bound.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// What is stored must be readable again.
pub(super) fn check(value: &Value) -> Result<(), field::Error> {
    if depth(value) <= DEPTH_MAX {
        return Ok(());
    }
    let detail = format!("must not nest deeper than {DEPTH_MAX} levels");
    Err(field::Error::type_invalid(&Path::ROOT, Value::Null, detail))
}
