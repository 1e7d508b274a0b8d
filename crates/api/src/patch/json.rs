//! JSON patch (RFC 6902).
//!
//! A patch is small, but what it builds need not be: each `copy` may double the object. Operations and copied bytes are
//! therefore bounded, by the figures that kube-apiserver uses. So is the depth of what is built: everything that walks a
//! value takes room on the stack for each level, and a parser stops at 128.

use json_patch::PatchOperation;
use keelson_types::decode::{DEPTH_MAX, MANAGED_DEPTH_MAX, depth};
use serde_json::Value;

use super::{Error, parse};

/// Operations in one patch, as kube-apiserver allows.
const OPERATIONS_MAX: usize = 10_000;
/// Bytes of JSON that all `copy` operations of one patch may duplicate together: twice the largest object. What a `move` puts
/// deeper counts, too, since its depth has to be found out.
pub(super) const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

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
        let added = match operation {
            PatchOperation::Add(add) => depth(&add.value),
            PatchOperation::Replace(replace) => depth(&replace.value),
            PatchOperation::Copy(_) | PatchOperation::Move(_) | PatchOperation::Remove(_) | PatchOperation::Test(_) => {
                0
            }
        };
        not_too_deep(index, operation, added)?;
        if let Some(source) = copied(&object, operation) {
            not_too_deep(index, operation, depth(source))?;
            copied_bytes += source.to_string().len();
            if copied_bytes > COPIED_BYTES_MAX {
                return Err(Error::TooLarge(format!(
                    "operation {index} ({}): copies more than {COPIED_BYTES_MAX} bytes together with those before",
                    name(operation)
                )));
            }
        }
        if tests_absence(&object, operation) {
            continue;
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

/// Whether an operation tests that a map has no such field: in Kubernetes it does so by the value null. Finalizers are added that
/// way.
fn tests_absence(object: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let Some((map, field)) = test.path.split_back().filter(|_| test.value.is_null()) else { return false };
    let map = map.resolve(object).ok().and_then(Value::as_object);
    map.is_some_and(|map| !map.contains_key(field.decoded().as_ref()))
}

/// What an operation takes from the object, unless it cannot become deeper by that.
fn copied<'a>(object: &'a Value, operation: &PatchOperation) -> Option<&'a Value> {
    match operation {
        PatchOperation::Copy(copy) => copy.from.resolve(object).ok(),
        PatchOperation::Move(moved) if moved.path.tokens().count() > moved.from.tokens().count() => {
            moved.from.resolve(object).ok()
        }
        _ => None,
    }
}

/// Checked before anything is built: the object is never deeper than this, or than it was. Whoever decodes the result looks at
/// managedFields and the rest apart.
fn not_too_deep(index: usize, operation: &PatchOperation, added: usize) -> Result<(), Error> {
    if added == 0 || operation.path().tokens().count() + added <= MANAGED_DEPTH_MAX {
        return Ok(());
    }
    let (name, path) = (name(operation), operation.path().as_str());
    let why = format!("the object would nest deeper than {DEPTH_MAX} levels");
    Err(Error::Unprocessable(format!("operation {index} ({name} {path:?}): {why}")))
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
