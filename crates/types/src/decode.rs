//! Strict decoding: JSON text to a value whose every field is known and has the right type.
//!
//! The value keeps the client's own shape (nothing is invented for absent fields); unknown fields, nulls and empty lists
//! are dropped as Kubernetes drops them, and reported where that is an error under strict validation.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::field::{self, Path};
use crate::schema::Message;

mod json;
mod quantities;
mod typed;

/// A decoded object, with what strict validation would refuse.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub object: Value,
    /// Paths of fields that the kind does not have; they are no longer in `object`.
    pub unknown_fields: Vec<String>,
    /// Paths of keys that occurred more than once; the last one won.
    pub duplicate_fields: Vec<String>,
}

impl Decoded {
    /// `unknown field "spec.foo"`, `duplicate field "spec.bar"`: one warning each.
    pub fn warnings(&self) -> Vec<String> {
        let unknown = self.unknown_fields.iter().map(|path| format!("unknown field {path:?}"));
        let duplicate = self.duplicate_fields.iter().map(|path| format!("duplicate field {path:?}"));
        unknown.chain(duplicate).collect()
    }

    /// What strict validation says: `strict decoding error: unknown field "spec.containers[0].imag"`. `None` when all is well.
    pub fn strict_error(&self) -> Option<String> {
        let warnings = self.warnings();
        (!warnings.is_empty()).then(|| format!("strict decoding error: {}", warnings.join(", ")))
    }
}

/// Checks a value against a type and returns the paths of unknown fields.
pub(crate) type Check = fn(&Value) -> Result<Vec<Vec<Segment>>, field::Error>;

/// One step of the path to an unknown field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Field(String),
    Index(usize),
}

/// The [`Check`] of a `k8s-openapi` type.
pub(crate) fn check<T: DeserializeOwned>(value: &Value) -> Result<Vec<Vec<Segment>>, field::Error> {
    typed::check::<T>(value)
}

pub(crate) fn text(text: &[u8], of: Option<&Message>, check: Check) -> Result<Decoded, field::Error> {
    let (value, duplicates) = json::parse(text)?;
    self::value(value, duplicates, of, check)
}

/// `of` is the kind's type in the table; `None` for one that the table does not have.
pub(crate) fn value(
    mut value: Value,
    duplicate_fields: Vec<String>,
    of: Option<&Message>,
    check: Check,
) -> Result<Decoded, field::Error> {
    if !value.is_object() {
        return Err(field::Error::type_invalid(&Path::ROOT, Value::Null, "must be an object"));
    }
    json::drop_empty(&mut value);
    if let Some(of) = of {
        quantities::to_text(&mut value, of);
    }
    let unknown = check(&value)?;
    let unknown_fields = unknown.iter().map(|path| typed::render(path)).collect();
    // From the back, so that an index in a path still means what it meant.
    for path in unknown.iter().rev() {
        typed::remove(&mut value, path);
    }
    Ok(Decoded { object: value, unknown_fields, duplicate_fields })
}

#[cfg(test)]
mod tests;
