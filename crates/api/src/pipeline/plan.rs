//! What an operation comes to, decided against the caches: pure but for the UIDs and free numbers that it draws.
//!
//! A plan carries the guards under which its decision holds. Whoever executes it puts them into the same transaction.

mod allocate;
mod apply;
mod bind;
mod create;
mod delete;
pub(super) mod evict;
mod kinds;
mod prepare;
#[cfg(test)]
mod tests;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use keelson_types::Kind;
use keelson_types::status::Status;
use parking_lot::Mutex;
use serde_json::Value;

use super::decode::WARNINGS_MAX;
use super::request::{Outcome, Target, User, WriteOptions};
use super::{OBJECT_BYTES_MAX, Settings};
use crate::cache::{Caches, Object};
use crate::keys;
use crate::managed::Writer;

pub use kinds::Kinds;
pub use prepare::{Prepared, prepare};

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

    /// Adds what the writer had better not have said. The system's own components read no warnings.
    fn warn(&self, kind: &'static Kind, new: &Value, old: Option<&Value>, warnings: &mut Vec<String>) {
        if self.user.is_some_and(|user| !user.is_component()) {
            warnings.extend(kind.warnings(new, old));
            warnings.truncate(WARNINGS_MAX);
        }
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
