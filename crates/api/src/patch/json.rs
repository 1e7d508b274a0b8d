//! JSON patch (RFC 6902).
//!
//! A patch is small, but what it builds need not be: each `copy` may double the object. Operations and copied bytes are
//! therefore bounded, by the figures that kube-apiserver uses.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{Error, parse};

/// Operations in one patch, as kube-apiserver allows.
const OPERATIONS_MAX: usize = 10_000;
/// Bytes of JSON that all `copy` operations of one patch may duplicate together: twice the largest object.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

pub(super) fn patch(mut object: Value, patch: &[u8]) -> Result<Value, Error> {
    let patch: json_patch::Patch =
        serde_json::from_value(parse(patch)?).map_err(|error| Error::Malformed(error.to_string()))?;
    if patch.0.len() > OPERATIONS_MAX {
        return Err(Error::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            patch.0.len()
        )));
    }
    let mut copied_bytes = 0;
    for (index, operation) in patch.0.iter().enumerate() {
        if let PatchOperation::Copy(copy) = operation
            && let Ok(source) = copy.from.resolve(&object)
        {
            copied_bytes += source.to_string().len();
            if copied_bytes > COPIED_BYTES_MAX {
                return Err(Error::TooLarge(format!(
                    "operation {index} (copy): copies more than {COPIED_BYTES_MAX} bytes together with those before"
                )));
            }
        }
        // The object is dropped on an error, so that the crate's own undo list would be wasted work.
        json_patch::patch_unsafe(&mut object, std::slice::from_ref(operation)).map_err(|error| {
            Error::Unprocessable(format!(
                "operation {index} ({} {:?}): {}",
                name(operation),
                operation.path().as_str(),
                error.kind
            ))
        })?;
    }
    Ok(object)
}

fn name(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}
