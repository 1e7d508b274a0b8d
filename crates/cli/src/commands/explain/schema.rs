//! The fields of a kind that a user defines, by its schema.

use serde_json::{Map, Value};

/// The schema of a field, wherever in lists and maps it is.
pub(super) fn field<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    properties(schema)?.get(name)
}

/// The fields of what a schema is of, or is a list or a map of.
fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    let inner = [&schema["items"], &schema["additionalProperties"]].into_iter().find(|inner| inner.is_object());
    match inner {
        Some(inner) => properties(inner),
        None => schema["properties"].as_object(),
    }
}

/// `string`, `[]Object`, `map[string]integer`.
pub(super) fn type_name(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "IntOrString".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", type_name(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map[string]{}", type_name(&schema["additionalProperties"]))
        }
        Some("object") | None => "Object".to_owned(),
        Some(plain) => plain.to_owned(),
    }
}

/// A line for each field, the fields of fields indented below it.
pub(super) fn lines(schema: &Value, depth: usize, deepest: usize, text: &mut String) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in properties(schema).into_iter().flatten() {
        let mark = if required.iter().any(|required| required == name) { " -required-" } else { "" };
        text.push_str(&format!("{}{name}\t<{}>{mark}\n", "  ".repeat(depth), type_name(field)));
        if depth < deepest {
            lines(field, depth + 1, deepest, text);
        }
    }
}
