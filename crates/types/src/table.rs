//! Columns of the tables that `get` prints.

use jiff::Timestamp;
use serde_json::Value;

use crate::duration_human;

/// One column, as a Table's `columnDefinitions` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the column that names the object, else empty.
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is shown always, 1 only in wide tables.
    pub priority: i32,
}

impl Column {
    pub(crate) const NAME: Column = Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "Name must be unique within a namespace.",
        priority: 0,
    };
    pub(crate) const AGE: Column = Column::string(
        "Age",
        "CreationTimestamp is a timestamp representing the server time when this object was created.",
    );

    pub(crate) const fn string(name: &'static str, description: &'static str) -> Self {
        Column { name, kind: "string", format: "", description, priority: 0 }
    }

    /// What kinds without columns of their own show of their age: the moment itself.
    pub(crate) const CREATED_AT: Column =
        Column { name: "Created At", kind: "date", format: "", description: Column::AGE.description, priority: 0 };

    pub(crate) const fn boolean(name: &'static str, description: &'static str) -> Self {
        Column { name, kind: "boolean", format: "", description, priority: 0 }
    }

    pub(crate) const fn integer(name: &'static str, description: &'static str) -> Self {
        Column { name, kind: "integer", format: "", description, priority: 0 }
    }

    pub(crate) const fn wide(self) -> Self {
        Column { priority: 1, ..self }
    }
}

/// The age of something that happened at an RFC 3339 time: `5d`, or `<unknown>`.
pub fn age(since: &Value, now: Timestamp) -> String {
    match since.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(then) => duration_human(now.duration_since(then)),
        None => "<unknown>".to_owned(),
    }
}

pub(crate) fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

pub(crate) fn object_age(object: &Value, now: Timestamp) -> Value {
    Value::String(age(&object["metadata"]["creationTimestamp"], now))
}

/// The text itself, or `<none>` when it is empty or absent.
pub(crate) fn or_none(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => Value::String(text.to_owned()),
        _ => Value::String("<none>".to_owned()),
    }
}

/// `a=b,c=d` of a map of labels, or `<none>`.
pub(crate) fn labels(map: &Value) -> Value {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    Value::String(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") })
}
