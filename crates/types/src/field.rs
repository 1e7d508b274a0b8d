//! What is wrong with one field of an object, said exactly as Kubernetes says it.

use std::fmt;

use serde_json::Value;

/// Where a field is, as a chain on the stack: nothing is allocated until an error is made.
///
/// ```
/// use keelson_types::field::Path;
/// let containers = Path::new("spec");
/// let containers = containers.child("containers");
/// assert_eq!(containers.index(0).child("name").to_string(), "spec.containers[0].name");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Segment<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The object itself; its children print without a leading dot.
    pub const ROOT: Path<'static> = Path { parent: None, segment: Segment::Root };

    /// A field at the top of the object.
    pub const fn new(field: &'a str) -> Self {
        Path { parent: None, segment: Segment::Field(field) }
    }

    /// A field of the object at this path.
    pub const fn child(&'a self, field: &'a str) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Field(field) }
    }

    /// An element of the list at this path.
    pub const fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Index(index) }
    }

    /// An entry of the map at this path, printed in brackets.
    pub const fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), segment: Segment::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Field(name) => {
                let first = self.parent.is_none_or(|parent| matches!(parent.segment, Segment::Root));
                if first { f.write_str(name) } else { write!(f, ".{name}") }
            }
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// Why a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    /// The same for a value that is too large to be shown.
    InvalidUnshown,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    InternalError,
    TypeInvalid,
}

impl Reason {
    /// The reason of a cause in a Status, such as `FieldValueRequired`.
    pub const fn cause(self) -> &'static str {
        match self {
            Reason::NotFound => "FieldValueNotFound",
            Reason::Required => "FieldValueRequired",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::Invalid | Reason::InvalidUnshown => "FieldValueInvalid",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooLong => "FieldValueTooLong",
            Reason::TooMany => "FieldValueTooMany",
            Reason::InternalError => "InternalError",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Reason::NotFound => "Not found",
            Reason::Required => "Required value",
            Reason::Duplicate => "Duplicate value",
            Reason::Invalid | Reason::InvalidUnshown | Reason::TypeInvalid => "Invalid value",
            Reason::NotSupported => "Unsupported value",
            Reason::Forbidden => "Forbidden",
            Reason::TooLong => "Too long",
            Reason::TooMany => "Too many",
            Reason::InternalError => "Internal error",
        }
    }
}

/// One refused field. `Display` gives Kubernetes' text, for example
/// `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Such as `spec.containers[0].name`; empty when the error concerns the whole document.
    pub path: String,
    pub reason: Reason,
    /// The value refused; `Null` where the reason does not show one.
    pub bad_value: Value,
    /// Empty when the reason says it all.
    pub detail: String,
}

impl Error {
    pub fn required(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(path, Reason::Required, Value::Null, detail)
    }

    pub fn invalid(path: &Path<'_>, bad_value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, Reason::Invalid, bad_value, detail)
    }

    /// For objects and lists, which may be too large to be shown.
    pub fn invalid_unshown(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(path, Reason::InvalidUnshown, Value::Null, detail)
    }

    pub fn duplicate(path: &Path<'_>, bad_value: impl Into<Value>) -> Self {
        Self::new(path, Reason::Duplicate, bad_value, "")
    }

    pub fn not_found(path: &Path<'_>, bad_value: impl Into<Value>) -> Self {
        Self::new(path, Reason::NotFound, bad_value, "")
    }

    /// Lists what would have been accepted, sorted.
    pub fn not_supported(path: &Path<'_>, bad_value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        quoted.sort();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::new(path, Reason::NotSupported, bad_value, detail)
    }

    pub fn forbidden(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(path, Reason::Forbidden, Value::Null, detail)
    }

    pub fn too_long(path: &Path<'_>, max_bytes: usize) -> Self {
        Self::new(path, Reason::TooLong, Value::Null, format!("may not be more than {max_bytes} bytes"))
    }

    pub fn too_many(path: &Path<'_>, actual: usize, max: usize) -> Self {
        Self::new(path, Reason::TooMany, actual, format!("must have at most {max} items"))
    }

    pub fn type_invalid(path: &Path<'_>, bad_value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, Reason::TypeInvalid, bad_value, detail)
    }

    fn new(path: &Path<'_>, reason: Reason, bad_value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Error { path: path.to_string(), reason, bad_value: bad_value.into(), detail: detail.into() }
    }

    /// The text without the path: what a cause in a Status carries as its message.
    pub fn body(&self) -> String {
        let text = self.reason.text();
        let shown = match self.reason {
            Reason::Required | Reason::Forbidden | Reason::TooLong | Reason::InternalError | Reason::InvalidUnshown => {
                text.to_owned()
            }
            // What was found is not always known.
            Reason::TypeInvalid if self.bad_value.is_null() => text.to_owned(),
            _ => match &self.bad_value {
                Value::Null => format!("{text}: \"null\""),
                value => format!("{text}: {value}"),
            },
        };
        if self.detail.is_empty() { shown } else { format!("{shown}: {}", self.detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.body()) } else { write!(f, "{}: {}", self.path, self.body()) }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_print_as_kubernetes_prints_them() {
        let spec = Path::new("spec");
        let labels = Path::new("metadata");
        let labels = labels.child("labels");
        let table = [
            (
                Error::invalid(&spec.child("replicas"), -1, "must be greater than or equal to 0"),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (Error::required(&spec.child("containers"), ""), "spec.containers: Required value"),
            (
                Error::not_supported(&spec.child("type"), "X", &["NodePort", "ClusterIP"]),
                "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"NodePort\"",
            ),
            (Error::invalid(&spec, json!({"a": "b"}), "no"), "spec: Invalid value: {\"a\":\"b\"}: no"),
            (Error::too_long(&labels.key("a"), 63), "metadata.labels[a]: Too long: may not be more than 63 bytes"),
            (Error::duplicate(&spec.child("c").index(1), "x"), "spec.c[1]: Duplicate value: \"x\""),
            (Error::forbidden(&spec, "may not change"), "spec: Forbidden: may not change"),
            (Error::too_many(&spec, 5, 3), "spec: Too many: 5: must have at most 3 items"),
            (Error::type_invalid(&spec, "string", "no"), "spec: Invalid value: \"string\": no"),
            (Error::type_invalid(&spec, Value::Null, "no"), "spec: Invalid value: no"),
            (Error::invalid_unshown(&spec, "no"), "spec: Invalid value: no"),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }
}
