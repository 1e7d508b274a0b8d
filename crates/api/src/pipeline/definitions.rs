//! Accepts CustomResourceDefinitions, and empties those that are being deleted.
//!
//! Done by whoever leads, from the caches, by level: whenever a definition has changed, or an object of a kind that goes, all of
//! them are looked at. What to say of one is decided by [`status::plan`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::Kind;
use keelson_types::kinds::custom_resource_definition::CLEANUP;
use keelson_types::status::{Reason, Status};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Pipeline;
use super::request::{DeleteOptions, Operation, Subresource, Target, WriteOptions};
use crate::custom::status;
use crate::value;

/// After a failure, and while objects of a kind that goes are left to their finalizers.
const RETRY: Duration = Duration::from_millis(500);
/// Objects of a kind that goes which are deleted in one round, one by one.
const DELETIONS_MAX: usize = 500;
const MANAGER: &str = "kube-apiserver";

impl Pipeline {
    /// Runs until `shutdown`.
    pub async fn define(self: Arc<Self>, shutdown: CancellationToken) {
        let mut leadership = self.store.leadership();
        let mut changed = self.caches.changed(self.kinds.definitions);
        loop {
            let now = *leadership.borrow_and_update();
            changed.borrow_and_update();
            let mut done = true;
            if now.leading {
                match self.define_all(now.term).await {
                    Ok(all) => done = all,
                    // The next leader will.
                    Err(status) if status.reason == Reason::Fenced => {}
                    Err(status) => {
                        warn!(%status, "looking after definitions failed; trying again");
                        done = false;
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                outcome = leadership.changed() => if outcome.is_err() { return },
                outcome = changed.changed() => if outcome.is_err() { return },
                () = tokio::time::sleep(RETRY), if !done => {}
            }
        }
    }

    /// Whether nothing is left to do until something changes.
    async fn define_all(&self, term: u64) -> Result<bool, Status> {
        if !self.is_ready() {
            return Ok(false);
        }
        let (definitions, _) = self.caches.snapshot(self.kinds.definitions);
        let mut all = Vec::with_capacity(definitions.len());
        for (_, object) in &definitions {
            all.push(object.value().map_err(Status::internal)?);
        }
        let mut done = true;
        for index in 0..all.len() {
            let outcome = self.define_one(index, &mut all, term).await;
            done &= match outcome {
                Ok(done) => done,
                // Somebody wrote it meanwhile; there is a newer one in the caches, or will be.
                Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => false,
                Err(status) => return Err(status),
            };
        }
        Ok(done)
    }

    async fn define_one(&self, index: usize, all: &mut [Value], term: u64) -> Result<bool, Status> {
        let deleting = value::is_deleting(&all[index]);
        let remaining = if deleting { self.empty(&all[index], term).await? } else { 0 };
        let now = keelson_types::meta::time_text((self.settings.clock)());
        if let Some(status) = status::plan(&all[index], all, remaining, &now) {
            let mut definition = all[index].clone();
            definition["status"] = status;
            self.write_definition(&definition, Subresource::Status, term).await?;
            all[index] = definition;
            // What was read before is older than what was written now: the next round goes on.
            return Ok(!deleting);
        }
        if deleting && remaining == 0 {
            let mut definition = all[index].clone();
            let mut finalizers = value::finalizers(&definition);
            let before = finalizers.len();
            finalizers.retain(|finalizer| finalizer != CLEANUP);
            if finalizers.len() != before {
                value::set_finalizers(&mut definition, &finalizers);
                self.write_definition(&definition, Subresource::None, term).await?;
                info!(name = value::metadata_text(&definition, "name"), "all objects of a kind are gone");
            }
        }
        Ok(remaining == 0)
    }

    /// Deletes the objects of a kind that goes and says how many there were.
    async fn empty(&self, definition: &Value, term: u64) -> Result<usize, Status> {
        let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
        let served = self.served();
        let resource = served.resources().find(|resource| {
            let kind = resource.defined.stored;
            *group == kind.group && *plural == kind.plural
        });
        let Some(resource) = resource else { return Ok(0) };
        if !resource.terminating {
            // This member does not refuse new objects yet.
            return Ok(1);
        }
        let kind = resource.defined.stored;
        // Nothing is created any more that this member does not know, once it knows everything up to now.
        self.catch_up().await?;
        let (objects, _) = self.caches.snapshot(kind);
        let left = objects.iter().filter(|(_, object)| object.value().is_ok_and(|value| !value::is_deleting(&value)));
        for (_, object) in left.take(DELETIONS_MAX) {
            let target = Target {
                kind,
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
                subresource: Subresource::None,
            };
            match self.write_own(&[Operation::Delete { target, options: DeleteOptions::default() }], &own(term)).await {
                Ok(()) => {}
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(status),
            }
        }
        Ok(objects.len())
    }

    async fn write_definition(&self, definition: &Value, subresource: Subresource, term: u64) -> Result<(), Status> {
        let kind: &'static Kind = self.kinds.definitions;
        let name = value::metadata_text(definition, "name").to_owned();
        let target = Target { kind, namespace: String::new(), name, subresource };
        let body = Bytes::from(definition.to_string());
        self.write_own(&[Operation::Update { target, body }], &own(term)).await
    }
}

fn own(term: u64) -> WriteOptions {
    WriteOptions { fence_term: term, field_manager: MANAGER.to_owned(), ..WriteOptions::default() }
}
