//! Reads of one object, and how fresh a read must be.

use std::sync::Arc;

use bytes::Bytes;
use keelson_types::Kind;
use keelson_types::status::Status;

use super::Pipeline;
use super::authorize::Verb;
use super::request::{ReadVersion, Subresource, Target, User};
use super::scale;
use crate::cache::{Cache, Object};
use crate::keys;
use crate::status_code;

impl Pipeline {
    /// Reads one object: its JSON text with its resourceVersion. The scale subresource is a Scale; status is the object.
    ///
    /// # Errors
    /// NotFound, Forbidden, or a timeout when the state asked for does not arrive.
    pub async fn get(&self, user: &User, target: &Target, version: ReadVersion) -> Result<Bytes, Status> {
        self.authorize(user, Verb::Get, target)?;
        self.await_version(version).await?;
        let kind = self.current(target.kind)?;
        if kind.is_observed() {
            return self.measured(target).await;
        }
        let object = self.cached(kind, &target.namespace, &target.name)?;
        let is_pod = std::ptr::eq(kind, self.kinds.pods);
        match target.subresource {
            Subresource::None => Ok(object.shown_as(kind).json().clone()),
            Subresource::Status if kind.status => Ok(object.shown_as(kind).json().clone()),
            Subresource::Approval if kind.approval => Ok(object.json().clone()),
            Subresource::EphemeralContainers | Subresource::Resize if is_pod => Ok(object.json().clone()),
            Subresource::Scale if kind.scale => {
                scale::of(kind, &object.shown_as(kind).value().map_err(Status::internal)?)
            }
            Subresource::Binding
            | Subresource::Eviction
            | Subresource::Log
            | Subresource::Finalize
            | Subresource::Session(_) => Err(Status::method_not_allowed()),
            Subresource::Status
            | Subresource::Scale
            | Subresource::Approval
            | Subresource::EphemeralContainers
            | Subresource::Resize => Err(Status::no_such_path()),
        }
    }

    /// The object as the cache has it now.
    pub(super) fn cached(&self, kind: &'static Kind, namespace: &str, name: &str) -> Result<Arc<Object>, Status> {
        self.serving(kind)?
            .get(&keys::path(namespace, name))
            .ok_or_else(|| Status::not_found(kind.group, kind.plural, name))
    }

    /// The cache to answer from. A kind that goes after [`Pipeline::current`] has no answer; one about its objects would be wrong.
    pub(super) fn serving(&self, kind: &'static Kind) -> Result<Arc<Cache>, Status> {
        self.caches.serving(kind).ok_or_else(|| super::plan::redefined(kind))
    }

    /// Waits until the caches are as new as a read wants them.
    pub(super) async fn await_version(&self, version: ReadVersion) -> Result<(), Status> {
        let revision = match version {
            // Concurrent reads share the store's barrier.
            ReadVersion::MostRecent => self.store.read_barrier().await.map_err(status_code::of_read)?,
            // An empty cache is not a state: the store begins at revision 1.
            ReadVersion::Any => 1,
            ReadVersion::NotOlderThan(revision) | ReadVersion::Exact(revision) => revision.max(1),
        };
        self.caches.wait(revision).await
    }
}
