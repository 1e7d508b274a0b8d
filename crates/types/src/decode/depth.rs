//! How deep objects may be.

use serde_json::Value;

use crate::field::{self, Path};

/// Levels of objects and lists within an object, but for its managedFields. Parsers of JSON stop at 128; managedFields, lists,
/// tables and watches must find room around and beside it.
pub const DEPTH_MAX: usize = 110;
/// The same with managedFields. They have a level for each of the object's, begin five levels down where the object begins at one,
/// and end each path with an empty object.
pub const MANAGED_DEPTH_MAX: usize = DEPTH_MAX + 6;

/// Levels of objects and lists: 0 for a text, 1 for `{}`. Recursive: only for what a parser made, or what was held to a bound.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// What is stored must be readable again, and what was read must be writable again: an object is not to blame for what the server
/// notes of its fields.
pub(super) fn check(value: &Value) -> Result<(), field::Error> {
    let managed = value["metadata"].get("managedFields").map_or(0, |fields| 2 + depth(fields));
    if depth_but(value, &["metadata", "managedFields"]) <= DEPTH_MAX && managed <= MANAGED_DEPTH_MAX {
        return Ok(());
    }
    let detail = format!("must not nest deeper than {DEPTH_MAX} levels");
    Err(field::Error::type_invalid(&Path::ROOT, Value::Null, detail))
}

/// The depth of `value` without what is at `path`.
fn depth_but(value: &Value, path: &[&str]) -> usize {
    let (Value::Object(fields), [first, rest @ ..]) = (value, path) else {
        return if path.is_empty() { 0 } else { depth(value) };
    };
    let below = fields.iter().map(|(name, field)| if name == first { depth_but(field, rest) } else { depth(field) });
    1 + below.max().unwrap_or(0)
}
