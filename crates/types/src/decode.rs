//! Strict decoding: JSON text to a value whose every field is known and has the right type.
//!
//! The value keeps the client's own shape (nothing is invented for absent fields); unknown fields, nulls and empty lists
//! are dropped as Kubernetes drops them, and reported where that is an error under strict validation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::custom::Definition;
use crate::field::{self, Path};
use crate::schema::Message;

mod depth;
mod json;
mod quantities;
mod typed;
mod words;

pub use depth::{DEPTH_MAX, MANAGED_DEPTH_MAX, depth};

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

/// Paths of keys that occur more than once in a JSON text; none when it is no JSON at all.
pub fn duplicate_fields(text: &[u8]) -> Vec<String> {
    json::parse(text).map(|(_, duplicates)| duplicates).unwrap_or_default()
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

/// What decoding must know of a kind.
pub(crate) struct Shape {
    /// The kind's type in the table; `None` for one that the table does not have.
    pub message: Option<&'static Message>,
    pub check: Check,
    /// Fields whose values are left as they were sent.
    pub verbatim: &'static [&'static str],
}

pub(crate) fn text(text: &[u8], of: &Shape) -> Result<Decoded, field::Error> {
    let (value, duplicates) = json::parse(text)?;
    self::value(value, duplicates, of)
}

pub(crate) fn value(mut value: Value, duplicate_fields: Vec<String>, of: &Shape) -> Result<Decoded, field::Error> {
    if !value.is_object() {
        return Err(field::Error::type_invalid(&Path::ROOT, Value::Null, "must be an object"));
    }
    depth::check(&value)?;
    json::drop_empty(&mut value, of.verbatim);
    if let Some(message) = of.message {
        quantities::to_text(&mut value, message);
    }
    let unknown_fields = take_out_unknown(&mut value, of.check)?;
    Ok(Decoded { object: value, unknown_fields, duplicate_fields })
}

pub(crate) fn custom_text(text: &[u8], definition: &dyn Definition) -> Result<Decoded, field::Error> {
    let (value, duplicates) = json::parse(text)?;
    custom(value, duplicates, definition)
}

/// An object whose schema is its users': only its metadata has a type. Nulls and empty lists stay, since a schema may give
/// them a meaning.
pub(crate) fn custom(
    mut value: Value,
    duplicate_fields: Vec<String>,
    definition: &dyn Definition,
) -> Result<Decoded, field::Error> {
    depth::check(&value)?;
    let Some(fields) = value.as_object_mut() else {
        return Err(field::Error::type_invalid(&Path::ROOT, value, "must be an object"));
    };
    for field in ["apiVersion", "kind"] {
        if let Some(wrong) = fields.get(field).filter(|value| !value.is_string() && !value.is_null()) {
            return Err(field::Error::type_invalid(&Path::new(field), wrong.clone(), "must be a string"));
        }
    }
    let metadata = fields.entry("metadata").or_insert_with(crate::json::empty);
    if metadata.is_null() {
        *metadata = crate::json::empty();
    }
    json::drop_empty(metadata, &[]);
    let within = |path: &str| if path.is_empty() { "metadata".to_owned() } else { format!("metadata.{path}") };
    let unknown = take_out_unknown(metadata, typed::check::<ObjectMeta>)
        .map_err(|error| field::Error { path: within(&error.path), ..error })?;
    let mut unknown_fields: Vec<String> = unknown.iter().map(|path| within(path)).collect();
    unknown_fields.extend(definition.prune(&mut value));
    Ok(Decoded { object: value, unknown_fields, duplicate_fields })
}

/// Their paths.
fn take_out_unknown(value: &mut Value, check: Check) -> Result<Vec<String>, field::Error> {
    let unknown = check(value)?;
    // From the back, so that an index in a path still means what it meant.
    for path in unknown.iter().rev() {
        typed::remove(value, path);
    }
    Ok(unknown.iter().map(|path| typed::render(path)).collect())
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
