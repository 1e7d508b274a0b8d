//! The words for what is wrong with a value.

use keelson_types::field::{Error, Path, Reason};
use serde_json::{Value, json};

pub(super) enum Told<'a> {
    Type {
        expected: &'a str,
        found: &'a str,
    },
    Format {
        format: &'a str,
        text: &'a str,
    },
    Required,
    NotAllowed {
        value: &'a Value,
        allowed: &'a [Value],
    },
    TooLong(u64),
    TooMany {
        count: u64,
        max: u64,
    },
    /// Any other; the text follows "spec.replicas in body".
    Invalid {
        value: Value,
        should: String,
    },
    /// Alternatives: the text follows the quoted path.
    Logic(String),
    /// A text of its own.
    Plain(String),
}

/// Where Kubernetes says that an error is when it does not say where.
pub(crate) const NOWHERE: &str = "<nil>";

impl Told<'_> {
    /// The error at `path` below `base`.
    pub(super) fn error(self, base: &str, path: &Path<'_>) -> Error {
        let name = path.to_string();
        let (reason, bad_value, detail) = match self {
            Told::Type { expected, found } => {
                (Reason::TypeInvalid, json!(found), format!("{name} in body must be of type {expected}: {found:?}"))
            }
            Told::Format { format, text } => {
                (Reason::TypeInvalid, json!(text), format!("{name} in body must be of type {format}: {text:?}"))
            }
            Told::Required => (Reason::Required, Value::Null, String::new()),
            Told::NotAllowed { value, allowed } => {
                let words: Vec<String> = allowed.iter().map(quoted).collect();
                (Reason::NotSupported, value.clone(), format!("supported values: {}", words.join(", ")))
            }
            Told::TooLong(max) => {
                let bytes = if max == 1 { "byte" } else { "bytes" };
                (Reason::TooLong, Value::Null, format!("may not be more than {max} {bytes}"))
            }
            Told::TooMany { count, max } => (Reason::TooMany, json!(count), items(max)),
            Told::Invalid { value, should } => (Reason::Invalid, value, format!("{name} in body {should}")),
            Told::Logic(text) => return plain(base, format!("{name:?} {text}")),
            Told::Plain(text) => return plain(base, text),
        };
        let path = match (base.is_empty(), name.is_empty()) {
            (true, true) => NOWHERE.to_owned(),
            (true, false) => name,
            (false, true) => base.to_owned(),
            (false, false) => format!("{base}.{name}"),
        };
        Error { path, reason, bad_value, detail }
    }
}

fn plain(base: &str, detail: String) -> Error {
    let path = if base.is_empty() { NOWHERE } else { base };
    Error { path: path.to_owned(), reason: Reason::Invalid, bad_value: json!(""), detail }
}

fn items(max: u64) -> String {
    format!("must have at most {max} {}", if max == 1 { "item" } else { "items" })
}

/// A value that is allowed, quoted once whatever it is.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        value => format!("{:?}", value.to_string()),
    }
}
