//! Reading and filling in JSON values without ever panicking on their shape.

use serde_json::{Map, Value};

/// The text, or nothing when it is absent.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a list with their positions; none when it is absent.
pub(crate) fn items(value: &Value) -> impl DoubleEndedIterator<Item = (usize, &Value)> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate()
}

/// The entries of a map; none when it is absent.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The elements of the list at `field`, to change them.
pub(crate) fn items_mut<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets a field that is absent.
pub(crate) fn default_to(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut()
        && fields.get(field).is_none_or(Value::is_null)
    {
        fields.insert(field.to_owned(), value.into());
    }
}

/// Sets a text field that is absent or empty.
pub(crate) fn default_text(object: &mut Value, field: &str, value: &str) {
    if text(&object[field]).is_empty() {
        set(object, field, value);
    }
}

/// Sets a field, whatever it was.
pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
}

/// The map at `field`, made when it is absent. `None` only when `object` is no map.
pub(crate) fn child<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let child = object.as_object_mut()?.entry(field).or_insert_with(empty);
    if child.is_null() {
        *child = empty();
    }
    Some(child)
}

pub(crate) fn empty() -> Value {
    Value::Object(Map::new())
}
