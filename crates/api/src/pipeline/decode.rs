//! From a body to an object of its kind: the path and the body must agree, and unknown fields are refused, warned of or
//! dropped as the caller asked.

use keelson_types::status::Status;
use keelson_types::{Decoded, Kind, field};
use serde_json::Value;

use super::request::{FieldValidation, Target};
use crate::value;

/// Warnings that are told at most, as in Kubernetes: headers have limits.
pub(super) const WARNINGS_MAX: usize = 50;

/// Reads a body as an object of the target's kind.
///
/// # Errors
/// BadRequest, which names the field.
pub fn object(target: &Target, body: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), Status> {
    let kind = target.kind;
    let handled = |why: &dyn std::fmt::Display| Status::cannot_be_handled(kind.kind, kind.version, &why.to_string());
    let decoded = kind.decode(body).map_err(|error| handled(&error))?;
    let strict = decoded.strict_error();
    let (mut object, warnings) = checked(decoded, validation);
    if validation == FieldValidation::Strict
        && let Some(why) = strict
    {
        return Err(handled(&why));
    }
    check_type(kind, &object)?;
    check_place(target, &mut object)?;
    value::clean(&mut object);
    Ok((object, warnings))
}

/// What was decoded as one version of a kind, as the version that is stored.
///
/// # Errors
/// BadRequest for what only the stored version can tell to be wrong.
pub fn as_stored(target: &Target, object: Value) -> Result<(Target, Value), Status> {
    let Some(view) = target.kind.view() else { return Ok((target.clone(), object)) };
    let kind = view.stored;
    let decoded = kind.decode_value((view.to_stored)(object));
    let decoded = decoded.map_err(|why| Status::cannot_be_handled(kind.kind, kind.version, &why.to_string()))?;
    Ok((Target { kind, ..target.clone() }, decoded.object))
}

/// Reads the result of a patch.
///
/// # Errors
/// Invalid, as Kubernetes tells it: the patch is at fault.
pub fn patched(
    target: &Target,
    patched: Value,
    patch: &[u8],
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Status> {
    let kind = target.kind;
    let refuse = |why: String| {
        let patch = String::from_utf8_lossy(patch).into_owned();
        let error = field::Error::invalid(&field::Path::new("patch"), patch, why);
        Status::invalid("", "", "", &[error])
    };
    let mut decoded = kind.decode_value(patched).map_err(|error| refuse(error.to_string()))?;
    // What occurs twice shows in the patch alone. A list of operations names no fields.
    if validation != FieldValidation::Ignore && patch.trim_ascii_start().starts_with(b"{") {
        decoded.duplicate_fields.extend(keelson_types::decode::duplicate_fields(patch));
    }
    let strict = decoded.strict_error();
    let (mut object, warnings) = checked(decoded, validation);
    if validation == FieldValidation::Strict
        && let Some(why) = strict
    {
        return Err(refuse(why));
    }
    check_type(kind, &object)?;
    check_place(target, &mut object)?;
    value::clean(&mut object);
    Ok((object, warnings))
}

fn checked(decoded: Decoded, validation: FieldValidation) -> (Value, Vec<String>) {
    let mut warnings = if validation == FieldValidation::Warn { decoded.warnings() } else { Vec::new() };
    warnings.truncate(WARNINGS_MAX);
    (decoded.object, warnings)
}

/// An absent type is the path's.
fn check_type(kind: &Kind, object: &Value) -> Result<(), Status> {
    let expected = kind.api_version();
    match object["apiVersion"].as_str() {
        None | Some("") => {}
        Some(found) if found == expected => {}
        Some(found) => {
            return Err(Status::bad_request(format!(
                "the API version in the data ({found}) does not match the expected API version ({expected})"
            )));
        }
    }
    match object["kind"].as_str() {
        None | Some("") => Ok(()),
        Some(found) if found == kind.kind => Ok(()),
        Some(found) => Err(Status::bad_request(format!(
            "{found} in version {:?} cannot be handled as a {}: the kind in the data does not match the path",
            kind.version, kind.kind
        ))),
    }
}

/// Name and namespace of the path and of the body must agree; what the body leaves out comes from the path.
fn check_place(target: &Target, object: &mut Value) -> Result<(), Status> {
    let kind = target.kind;
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    let namespace = value::metadata_text(object, "namespace");
    if kind.namespaced {
        if !namespace.is_empty() && namespace != target.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        value::set_metadata(object, "namespace", target.namespace.clone().into());
    } else {
        if !namespace.is_empty() {
            return Err(Status::bad_request("namespace may not be set on cluster-scoped objects"));
        }
        value::remove_metadata(object, "namespace");
    }
    let name = value::metadata_text(object, "name");
    if target.name.is_empty() {
        return Ok(());
    }
    if name.is_empty() {
        value::set_metadata(object, "name", target.name.clone().into());
    } else if name != target.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}
