//! What an operation comes to, decided against the caches: pure but for the UIDs and free numbers that it draws.
//!
//! A plan carries the guards under which its decision holds. Whoever executes it puts them into the same transaction.

mod allocate;
mod create;
mod delete;
pub(super) mod evict;
#[cfg(test)]
mod tests;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use keelson_types::status::Status;
use keelson_types::{Kind, field, registry};
use parking_lot::Mutex;
use serde_json::Value;

use super::request::{Operation, Outcome, PatchType, Subresource, Target, User, WriteOptions};
use super::{OBJECT_BYTES_MAX, Settings};
use crate::cache::{Caches, Object};
use crate::keys;
use crate::managed::Writer;

/// The kinds that the pipeline itself knows.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    pub namespaces: &'static Kind,
    pub pods: &'static Kind,
    pub services: &'static Kind,
    pub endpoints: &'static Kind,
    pub endpoint_slices: &'static Kind,
    pub events: &'static Kind,
    pub budgets: &'static Kind,
    pub storage_classes: &'static Kind,
    pub priority_classes: &'static Kind,
    pub ingress_classes: &'static Kind,
    pub runtime_classes: &'static Kind,
    pub accounts: &'static Kind,
    pub definitions: &'static Kind,
}

impl Kinds {
    /// # Errors
    /// Internal, when one of them is not registered.
    pub fn find() -> Result<Kinds, Status> {
        let of =
            |group, name| registry::by_resource(group, name).ok_or_else(|| Status::internal(format!("no kind {name}")));
        let kind = |name| of("", name);
        Ok(Kinds {
            namespaces: kind("namespaces")?,
            pods: kind("pods")?,
            services: kind("services")?,
            endpoints: kind("endpoints")?,
            endpoint_slices: of("discovery.k8s.io", "endpointslices")?,
            events: kind("events")?,
            budgets: of("policy", "poddisruptionbudgets")?,
            storage_classes: of("storage.k8s.io", "storageclasses")?,
            priority_classes: of("scheduling.k8s.io", "priorityclasses")?,
            ingress_classes: of("networking.k8s.io", "ingressclasses")?,
            runtime_classes: of("node.k8s.io", "runtimeclasses")?,
            accounts: kind("serviceaccounts")?,
            definitions: &keelson_types::kinds::custom_resource_definition::KIND,
        })
    }
}

impl Kinds {
    /// Whether other requests are decided by objects of this kind without being guarded by them.
    pub fn decide_requests(&self, kind: &'static Kind) -> bool {
        let own = [
            self.budgets,
            self.storage_classes,
            self.priority_classes,
            self.ingress_classes,
            self.runtime_classes,
            self.accounts,
            self.definitions,
        ];
        kind.group == crate::rbac::GROUP || own.iter().any(|known| std::ptr::eq(*known, kind))
    }
}

/// What must still be so when the transaction is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub key: String,
    /// 0 means that the key does not exist.
    pub mod_revision: i64,
}

impl Guard {
    pub fn absent(key: String) -> Guard {
        Guard { key, mod_revision: 0 }
    }

    pub fn unmodified(key: String, mod_revision: i64) -> Guard {
        Guard { key, mod_revision }
    }
}

/// What a plan writes to one key.
#[derive(Clone, Debug)]
pub enum Write {
    Put {
        value: Bytes,
        /// 0 means none.
        lease: i64,
    },
    Delete,
}

impl Write {
    pub fn size_bytes(&self) -> usize {
        match self {
            Write::Put { value, .. } => value.len(),
            Write::Delete => 0,
        }
    }
}

/// What to answer once the plan is executed.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What was put, with the revision of the transaction.
    Stored { value: Bytes, outcome: Outcome },
    /// What was there.
    Existing { object: Arc<Object>, outcome: Outcome },
    /// Nothing but that it was done.
    Bound,
    /// The same, of a pod that goes.
    Evicted,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub guards: Vec<Guard>,
    pub writes: BTreeMap<String, Write>,
    pub answer: Answer,
    pub as_scale: bool,
    pub warnings: Vec<String>,
}

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
        options: super::request::DeleteOptions,
    },
    Bind {
        target: Target,
        uid: String,
        node: String,
    },
    Evict {
        target: Target,
        options: super::request::DeleteOptions,
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
                crate::value::metadata_text(object, "resourceVersion").parse().unwrap_or(0)
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
                let (object, warnings) = super::decode::object(target, body, validation)?;
                let (target, object) = super::decode::as_stored(target, object)?;
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
                _ => super::decode::object(target, body, validation)?,
            };
            let (target, object) = super::decode::as_stored(target, object)?;
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
            let (object, warnings) = super::decode::object(target, body, validation)?;
            if crate::value::metadata_text(&object, "name").is_empty() {
                return Err(Status::bad_request("name must be provided to apply"));
            }
            let mut target = target.clone();
            crate::value::metadata_text(&object, "name").clone_into(&mut target.name);
            let (target, object) = super::decode::as_stored(&target, object)?;
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
    let (object, warnings) = super::decode::object(target, body, options.field_validation)?;
    let (target, object) = super::decode::as_stored(target, object)?;
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

fn json_body(kind: &str, body: &[u8]) -> Result<Value, Status> {
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
        crate::value::metadata_text(&binding, "name").clone_into(&mut target.name);
    }
    let uid = crate::value::metadata_text(&binding, "uid").to_owned();
    Ok(Prepared::Bind { target, uid, node: node.to_owned() })
}

/// Plans against one state of the caches.
pub struct Planner<'a> {
    pub caches: &'a Caches,
    pub kinds: &'a Kinds,
    pub settings: &'a Settings,
    /// Who writes; None for the server itself.
    pub user: Option<&'a User>,
    pub options: &'a WriteOptions,
    pub now: Timestamp,
    /// The lease that new Events get; 0 for none.
    pub event_lease: i64,
    /// Allocations that earlier operations of the same batch took.
    pub taken: Mutex<BTreeSet<String>>,
}

impl Planner<'_> {
    /// # Errors
    /// Why the operation is refused in this state.
    pub fn plan(&self, operation: &Prepared) -> Result<Plan, Status> {
        match operation {
            Prepared::Create { target, object, warnings } => {
                self.create(target, object.clone(), Managing::Track, warnings.clone())
            }
            Prepared::Update { target, object, warnings } => self.replace(target, object, warnings),
            Prepared::Patch { target, shown, patch_type, patch } => self.patch(target, shown, *patch_type, patch),
            Prepared::Apply { target, object, warnings } => self.apply(target, object, warnings),
            Prepared::ServerSideApply { target, object, force, warnings } => {
                self.server_side_apply(target, object, *force, warnings)
            }
            Prepared::Delete { target, options } => self.delete(target, options),
            Prepared::Bind { target, uid, node } => self.bind(target, uid, node),
            Prepared::Evict { target, options } => self.evict(target, options),
        }
    }

    /// The object, in the version that a user's kind is asked for in.
    pub(super) fn cached(&self, kind: &'static Kind, namespace: &str, name: &str) -> Result<Arc<Object>, Status> {
        let cache = self.caches.serving(kind).ok_or_else(|| redefined(kind))?;
        cache
            .get(&keys::path(namespace, name))
            .map(|object| if kind.is_custom() { object.shown_as(kind) } else { object })
            .ok_or_else(|| Status::not_found(kind.group, kind.plural, name))
    }

    fn lease(&self, kind: &'static Kind) -> i64 {
        if std::ptr::eq(kind, self.kinds.events) { self.event_lease } else { 0 }
    }

    fn now_text(&self) -> Value {
        keelson_types::meta::time_text(self.now).into()
    }

    /// Calls `inner` with who writes to the target.
    fn as_writer<R>(&self, target: &Target, inner: impl FnOnce(Writer<'_>) -> R) -> R {
        let subresource = target.subresource.as_str();
        let now = keelson_types::meta::time_text(self.now);
        inner(Writer { manager: &self.options.field_manager, subresource, now: &now })
    }
}

/// Where the managedFields of what is written come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Managing {
    /// The writer takes what it changes.
    Track,
    /// They are in the object already: an apply found them.
    Applied,
}

/// A request that was read by what a kind was before. Its client tries again, and finds the kind as it is now, or nothing.
pub(super) fn redefined(kind: &Kind) -> Status {
    let what = kind.qualified_plural();
    Status::too_many_requests(format!("the definition of {what} has just changed, please try again"), 1)
}

/// An object's text as it is stored, given its text as it is shown: only what users define may be in another version.
fn stored(kind: &Kind, object: &Value, text: &Bytes) -> Result<Bytes, Status> {
    match kind.definition() {
        Some(definition) if definition.stored_api_version() != kind.api_version() => {
            let mut object = object.clone();
            object["apiVersion"] = definition.stored_api_version().into();
            encode(&object)
        }
        _ => Ok(text.clone()),
    }
}

/// An object's text.
fn encode(object: &Value) -> Result<Bytes, Status> {
    let text = serde_json::to_vec(object).map_err(Status::internal)?;
    if text.len() > OBJECT_BYTES_MAX {
        return Err(Status::request_entity_too_large(OBJECT_BYTES_MAX));
    }
    Ok(text.into())
}
