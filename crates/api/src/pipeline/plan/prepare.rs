//! Operations whose bodies are decoded, as far as that needs no state.

use bytes::Bytes;
use keelson_types::status::Status;
use keelson_types::{Kind, field};
use serde_json::Value;

use super::{Kinds, evict};
use crate::pipeline::decode;
use crate::pipeline::request::{DeleteOptions, Operation, PatchType, Subresource, Target, WriteOptions};
use crate::value;

/// An operation whose body is decoded, as far as that needs no state.
#[derive(Clone, Debug)]
pub enum Prepared {
    Create {
        target: Target,
        object: Value,
        warnings: Vec<String>,
    },
    Update {
        target: Target,
        object: Value,
        warnings: Vec<String>,
    },
    /// `shown` is the kind that the patch is about, the target the one that is stored.
    Patch {
        target: Target,
        shown: &'static Kind,
        patch_type: PatchType,
        patch: Bytes,
    },
    Apply {
        target: Target,
        object: Value,
        warnings: Vec<String>,
    },
    ServerSideApply {
        target: Target,
        object: Value,
        force: bool,
        warnings: Vec<String>,
    },
    Delete {
        target: Target,
        options: DeleteOptions,
    },
    Bind {
        target: Target,
        uid: String,
        node: String,
    },
    Evict {
        target: Target,
        options: DeleteOptions,
    },
}

impl Prepared {
    pub fn target(&self) -> &Target {
        match self {
            Prepared::Create { target, .. }
            | Prepared::Update { target, .. }
            | Prepared::Patch { target, .. }
            | Prepared::Apply { target, .. }
            | Prepared::ServerSideApply { target, .. }
            | Prepared::Delete { target, .. }
            | Prepared::Bind { target, .. }
            | Prepared::Evict { target, .. } => target,
        }
    }

    /// The resourceVersion that the caller has seen, or 0.
    pub fn seen_revision(&self) -> i64 {
        match self {
            Prepared::Update { object, .. }
            | Prepared::Apply { object, .. }
            | Prepared::ServerSideApply { object, .. } => {
                value::metadata_text(object, "resourceVersion").parse().unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// Decodes an operation's body.
///
/// # Errors
/// BadRequest, MethodNotAllowed, NotFound for a subresource that the kind has not.
pub fn prepare(kinds: &Kinds, operation: &Operation, options: &WriteOptions) -> Result<Prepared, Status> {
    let validation = options.field_validation;
    if operation.kind().is_some_and(Kind::is_answered) {
        // Nothing of such a kind is ever stored: what is created is answered, elsewhere.
        return Err(Status::method_not_allowed());
    }
    match operation {
        Operation::Create { target, body } => match target.subresource {
            Subresource::None => {
                let (object, warnings) = decode::object(target, body, validation)?;
                let (target, object) = decode::as_stored(target, object)?;
                Ok(Prepared::Create { target, object, warnings })
            }
            Subresource::Binding if std::ptr::eq(target.kind, kinds.pods) => binding(target, body),
            Subresource::Eviction if std::ptr::eq(target.kind, kinds.pods) => evict::prepare(target, body, options),
            _ => Err(Status::method_not_allowed()),
        },
        Operation::Update { target, body } => {
            check_subresource(kinds, target)?;
            let (object, warnings) = match target.subresource {
                Subresource::Scale => (json_body("Scale", body)?, Vec::new()),
                Subresource::Binding | Subresource::Eviction => return Err(Status::method_not_allowed()),
                _ => decode::object(target, body, validation)?,
            };
            let (target, object) = decode::as_stored(target, object)?;
            Ok(Prepared::Update { target, object, warnings })
        }
        Operation::Patch { target, patch_type, patch } => {
            check_subresource(kinds, target)?;
            if matches!(target.subresource, Subresource::Binding | Subresource::Eviction | Subresource::Finalize) {
                return Err(Status::method_not_allowed());
            }
            if target.kind.is_custom() && *patch_type == PatchType::Strategic {
                // Nobody says how its lists merge.
                return Err(Status::unsupported_media_type(&[
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    "application/apply-patch+yaml",
                ]));
            }
            let stored = Target { kind: target.kind.stored(), ..target.clone() };
            let (shown, patch_type) = (target.kind, *patch_type);
            Ok(Prepared::Patch { target: stored, shown, patch_type, patch: patch.clone() })
        }
        Operation::Apply { target, body } => {
            if target.subresource != Subresource::None {
                return Err(Status::method_not_allowed());
            }
            let (object, warnings) = decode::object(target, body, validation)?;
            if value::metadata_text(&object, "name").is_empty() {
                return Err(Status::bad_request("name must be provided to apply"));
            }
            let mut target = target.clone();
            value::metadata_text(&object, "name").clone_into(&mut target.name);
            let (target, object) = decode::as_stored(&target, object)?;
            Ok(Prepared::Apply { target, object, warnings })
        }
        Operation::ServerSideApply { target, body, force } => server_side_apply(kinds, target, body, *force, options),
        Operation::Delete { target, options } => {
            if target.subresource != Subresource::None {
                return Err(Status::method_not_allowed());
            }
            let target = Target { kind: target.kind.stored(), ..target.clone() };
            Ok(Prepared::Delete { target, options: options.clone() })
        }
        Operation::Bind { namespace, pod, uid, node } => {
            let target = Target {
                kind: kinds.pods,
                namespace: namespace.clone(),
                name: pod.clone(),
                subresource: Subresource::Binding,
            };
            Ok(Prepared::Bind { target, uid: uid.clone(), node: node.clone() })
        }
    }
}

fn server_side_apply(
    kinds: &Kinds,
    target: &Target,
    body: &[u8],
    force: bool,
    options: &WriteOptions,
) -> Result<Prepared, Status> {
    check_subresource(kinds, target)?;
    match target.subresource {
        Subresource::None
        | Subresource::Status
        | Subresource::Approval
        | Subresource::EphemeralContainers
        | Subresource::Resize => {}
        Subresource::Scale => return Err(Status::not_implemented("server-side apply to the scale of an object")),
        Subresource::Binding
        | Subresource::Eviction
        | Subresource::Finalize
        | Subresource::Log
        | Subresource::Session(_) => {
            return Err(Status::method_not_allowed());
        }
    }
    if options.field_manager.is_empty() {
        let error = field::Error::required(&field::Path::new("fieldManager"), "is required for apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let (object, warnings) = decode::object(target, body, options.field_validation)?;
    let (target, object) = decode::as_stored(target, object)?;
    Ok(Prepared::ServerSideApply { target, object, force, warnings })
}

fn check_subresource(kinds: &Kinds, target: &Target) -> Result<(), Status> {
    let kind = target.kind;
    let offered = match target.subresource {
        _ if kind.is_answered() => return Err(Status::method_not_allowed()),
        Subresource::None => true,
        Subresource::Approval => kind.approval,
        Subresource::Status => kind.status,
        Subresource::Scale => kind.scale,
        Subresource::Binding | Subresource::Eviction | Subresource::EphemeralContainers | Subresource::Resize => {
            std::ptr::eq(kind, kinds.pods)
        }
        Subresource::Finalize => std::ptr::eq(kind, kinds.namespaces),
        Subresource::Log | Subresource::Session(_) => return Err(Status::method_not_allowed()),
    };
    if offered { Ok(()) } else { Err(Status::no_such_path()) }
}

pub(super) fn json_body(kind: &str, body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body).map_err(|error| Status::cannot_be_handled(kind, "v1", &error.to_string()))
}

fn binding(target: &Target, body: &[u8]) -> Result<Prepared, Status> {
    let binding = json_body("Binding", body)?;
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if !(kind.is_empty() || kind == "Node") || node.is_empty() {
        return Err(Status::cannot_be_handled("Binding", "v1", "target must name a Node"));
    }
    let mut target = target.clone();
    if target.name.is_empty() {
        value::metadata_text(&binding, "name").clone_into(&mut target.name);
    }
    if target.name.is_empty() {
        return Err(Status::cannot_be_handled("Binding", "v1", "metadata.name must name a pod"));
    }
    let uid = value::metadata_text(&binding, "uid").to_owned();
    Ok(Prepared::Bind { target, uid, node: node.to_owned() })
}
