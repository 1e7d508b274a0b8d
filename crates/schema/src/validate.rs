//! Holds values against a schema's keywords. What is refused is told as Kubernetes tells it.
//!
//! *Ratcheting*: what was wrong before and did not change is let through, so that a stricter schema does not refuse every
//! change of an object that it would not have let in. Fields are compared with those of the same name, elements of a list
//! with keys with those of the same keys; other elements are always checked.

mod correlate;
pub(crate) mod embedded;
pub(crate) mod format;
pub(crate) mod lists;
mod logic;
mod number;
mod tell;

pub(crate) use correlate::Correlated;
use keelson_types::field::{Error, Path};
use serde_json::{Map, Value};
pub(crate) use tell::NOWHERE;
use tell::Told;

use crate::json::equal;
use crate::node::{Additional, Kind, Node};
use crate::shape::MAX_ERRORS;

/// Holds `value` against `node`.
///
/// `base` is where the value is, or empty for an object. It stands before the paths of the errors but not in their texts.
pub(crate) fn value(value: &Value, old: Option<&Value>, node: &Node, base: &str) -> Vec<Error> {
    let mut checking = Checking { base, told: Vec::new(), places: 0 };
    checking.updated(value, old, node, &Path::ROOT);
    checking.told.truncate(MAX_ERRORS);
    checking.told
}

struct Checking<'a> {
    base: &'a str,
    told: Vec<Error>,
    /// How many places were looked at: among several alternatives the one is told that got furthest.
    places: usize,
}

impl Checking<'_> {
    /// Tells nothing of what did not change.
    fn updated(&mut self, value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>) {
        let before = self.told.len();
        self.value(value, old, node, path);
        if self.told.len() > before && old.is_some_and(|old| equal(old, value)) {
            self.told.truncate(before);
        }
    }

    fn value(&mut self, value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>) {
        self.places += 1;
        if self.told.len() > MAX_ERRORS {
            return;
        }
        if value.is_null() {
            if !node.nullable && (node.kind.is_some() || node.int_or_string) {
                self.tell(path, Told::Type { expected: expected(node), found: "null" });
            }
            return self.allowed(value, node, path);
        }
        self.type_of(value, node, path);
        self.logic(value, old, node, path);
        match value {
            Value::String(text) => self.text(text, node, path),
            Value::Number(number) => self.number(number, node, path),
            Value::Array(elements) => self.elements(elements, old, node, path),
            Value::Object(_) | Value::Null | Value::Bool(_) => {}
        }
        self.allowed(value, node, path);
        if let Value::Object(fields) = value {
            self.fields(fields, old, node, path);
        }
    }

    fn type_of(&mut self, value: &Value, node: &Node, path: &Path<'_>) {
        let fits = match node.kind {
            None if node.int_or_string => value.is_string() || is_integer(value),
            None => return,
            Some(Kind::Object) => value.is_object(),
            Some(Kind::Array) => value.is_array(),
            Some(Kind::String) => value.is_string(),
            Some(Kind::Integer) => is_integer(value),
            Some(Kind::Number) => value.is_number(),
            Some(Kind::Boolean) => value.is_boolean(),
        };
        if !fits {
            // Where there is a format, Kubernetes compares formats instead, of which texts and lists have none.
            let format = node.limits.format.as_str();
            let by_format = format::restricts(format, node.kind) && !value.is_string() && !value.is_array();
            let (expected, found) =
                if by_format { (format, format_word(value)) } else { (expected(node), type_word(value)) };
            self.tell(path, Told::Type { expected, found });
        } else {
            self.places += 1;
        }
    }

    fn allowed(&mut self, value: &Value, node: &Node, path: &Path<'_>) {
        let allowed = &node.limits.allowed;
        if !allowed.is_empty() && !allowed.iter().any(|one| equal(one, value)) {
            self.tell(path, Told::NotAllowed { value, allowed });
        }
    }

    /// Only the first limit that a text breaks is told.
    fn text(&mut self, text: &str, node: &Node, path: &Path<'_>) {
        let limits = &node.limits;
        let length = || text.chars().count() as u64;
        if let Some(max) = limits.max_length.filter(|max| length() > *max) {
            self.tell(path, Told::TooLong(max));
        } else if let Some(min) = limits.min_length.filter(|min| length() < *min) {
            self.tell(
                path,
                Told::Invalid { value: text.into(), should: format!("should be at least {min} chars long") },
            );
        } else if let Some(pattern) = limits.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            self.tell(path, Told::Invalid { value: text.into(), should: format!("should match '{}'", pattern.text()) });
        }
        if !format::fits(&limits.format, node.kind, text) {
            self.tell(path, Told::Format { format: &limits.format, text });
        }
    }

    fn elements(&mut self, elements: &[Value], old: Option<&Value>, node: &Node, path: &Path<'_>) {
        if let Some(item) = node.items.as_deref() {
            let old = Correlated::new(node, old);
            for (index, element) in elements.iter().enumerate() {
                self.updated(element, old.element(element), item, &path.index(index));
            }
        }
        let count = elements.len() as u64;
        if let Some(min) = node.limits.min_items.filter(|min| count < *min) {
            self.tell(path, Told::Invalid { value: count.into(), should: format!("should have at least {min} items") });
        }
        if let Some(max) = node.limits.max_items.filter(|max| count > *max) {
            self.tell(path, Told::TooMany { count, max });
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, old: Option<&Value>, node: &Node, path: &Path<'_>) {
        let count = fields.len() as u64;
        if let Some(min) = node.limits.min_properties.filter(|min| count < *min) {
            let should = format!("should have at least {min} properties");
            self.tell(path, Told::Invalid { value: count.into(), should });
        }
        if let Some(max) = node.limits.max_properties.filter(|max| count > *max) {
            self.tell(path, Told::TooMany { count, max });
        }
        for (name, value) in fields {
            let path = path.child(name);
            let old = old.and_then(|old| old.get(name));
            match (node.properties.get(name), &node.additional) {
                (Some(field), _) => self.updated(value, old, field, &path),
                (None, Additional::Of(field)) => self.updated(value, old, field, &path),
                (None, Additional::Refused) => self.refused(name, &path),
                (None, Additional::Unsaid | Additional::Anything) => {}
            }
        }
        for name in node.limits.required.iter().filter(|name| !fields.contains_key(*name)) {
            self.tell(&path.child(name), Told::Required);
        }
    }

    fn refused(&mut self, name: &str, path: &Path<'_>) {
        self.tell(path, Told::Invalid { value: name.into(), should: "is a forbidden property".into() });
    }

    fn tell(&mut self, path: &Path<'_>, told: Told<'_>) {
        self.told.push(told.error(self.base, path));
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn expected(node: &Node) -> &'static str {
    node.kind.map_or("integer,string", Kind::as_str)
}

/// The format that a value has by itself.
fn format_word(value: &Value) -> &'static str {
    match type_word(value) {
        "integer" => "int64",
        "number" => "float64",
        _ => "",
    }
}

/// The type of a value, as it stands in an error.
pub(crate) fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
