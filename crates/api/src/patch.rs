//! Patches: pure functions from an object and a patch to the patched object.
//!
//! Three formats that a client may send (JSON patch, JSON merge patch, strategic merge patch) and the three-way merge
//! behind `Apply`. Nothing here reads the store or knows a kind: what a list's merge key is comes in as a [`Schema`].
//!
//! **Invariant**: a failed patch leaves nothing behind, since the object is taken by value and given back only when the
//! whole patch succeeded. Defaulting and validation are the caller's next steps.

mod json;
mod schema;
mod strategic;
mod three_way;

use keelson_types::status::{Reason, Status};
use serde_json::Value;

use crate::pipeline::PatchType;

pub use schema::Schema;
pub use strategic::strategic;
pub use three_way::three_way;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The patch is not one of its format. HTTP 400.
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// The patch is well formed, but does not fit this object. HTTP 422.
    #[error("{0}")]
    Unprocessable(String),
    /// Applying it would cost more than a patch may. HTTP 413.
    #[error("{0}")]
    TooLarge(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = match error {
            Error::Malformed(_) => Reason::BadRequest,
            Error::Unprocessable(_) => Reason::Invalid,
            Error::TooLarge(_) => Reason::RequestEntityTooLarge,
        };
        Status::new(reason, error.to_string())
    }
}

/// Patches `object` with the JSON text `patch`.
///
/// # Errors
/// Every error names the operation or the field at fault; see [`Error`] for the codes.
pub fn patch(format: PatchType, object: Value, patch: &[u8], schema: &dyn Schema) -> Result<Value, Error> {
    match format {
        PatchType::Json => json::patch(object, patch),
        PatchType::Merge => {
            let Value::Object(patch) = parse(patch)? else {
                return Err(Error::Malformed("a merge patch of an object must be an object".into()));
            };
            let mut object = object;
            json_patch::merge(&mut object, &Value::Object(patch));
            Ok(object)
        }
        PatchType::Strategic => strategic(object, parse(patch)?, schema),
    }
}

fn parse(patch: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(patch).map_err(|error| Error::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests;
