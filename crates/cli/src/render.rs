//! What is printed, made from plain values.

pub(crate) mod color;
pub(crate) mod describe;
pub(crate) mod objects;
pub(crate) mod output;
pub(crate) mod table;

use serde_json::Value;

pub(crate) use keelson_types::jsonpath::text;

/// `a=b,c=d`, or `<none>`.
pub(crate) fn pairs(map: &Value) -> String {
    let pairs: Vec<String> =
        map.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value))).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// The text, or `<none>` when it is empty or absent.
pub(crate) fn or_none(value: &Value) -> String {
    let text = text(value);
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// The elements of a list; none when it is absent.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
