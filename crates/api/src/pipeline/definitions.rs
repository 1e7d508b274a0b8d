//! Accepts CustomResourceDefinitions, and empties those that are being deleted.
//!
//! Done by whoever leads, from the caches, by level: whenever a definition has changed, or an object of a kind that goes, all of
//! them are looked at. What to say of one is decided by [`status::plan`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::RangeRequest;
use keelson_types::Kind;
use keelson_types::kinds::custom_resource_definition::{CLEANUP, is_true};
use keelson_types::status::{Reason, Status};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Pipeline;
use super::request::{DeleteOptions, Operation, Subresource, Target, WriteOptions};
use crate::custom::{self, status};
use crate::{keys, status_code, value};

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
                    Err(Stopped::Fenced) => {}
                    Err(Stopped::Unavailable(status)) => {
                        warn!(%status, "definitions cannot be looked after now; trying again");
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

    /// Whether nothing is left to do until something changes. A definition that fails keeps the others from nothing.
    async fn define_all(&self, term: u64) -> Result<bool, Stopped> {
        if !self.is_ready() {
            return Ok(false);
        }
        let (definitions, _) = self.caches.snapshot(self.kinds.definitions);
        // What the caches have is JSON.
        let mut all: Vec<Value> = definitions.iter().filter_map(|(_, object)| object.value().ok()).collect();
        let mut done = true;
        for index in order(&all) {
            done &= match self.define_one(index, &mut all, term).await {
                Ok(done) => done,
                Err(status) => self.after_failure(&all[index], status)?,
            };
        }
        Ok(done)
    }

    /// Whether to wait for a change before the definition is looked at again.
    fn after_failure(&self, definition: &Value, status: Status) -> Result<bool, Stopped> {
        match status.reason {
            Reason::Fenced => Err(Stopped::Fenced),
            _ if is_everywhere(&status) => Err(Stopped::Unavailable(status)),
            // Somebody wrote it meanwhile; there is a newer one in the caches, or will be.
            Reason::Conflict | Reason::NotFound => Ok(false),
            reason => {
                let name = value::metadata_text(definition, "name");
                warn!(name, %status, "looking after a definition failed");
                // What is refused once is refused again until it is another; but no change of it tells that objects went.
                let refused = [Reason::BadRequest, Reason::Forbidden, Reason::Invalid, Reason::RequestEntityTooLarge];
                Ok(refused.contains(&reason) && !value::is_deleting(definition))
            }
        }
    }

    async fn define_one(&self, index: usize, all: &mut [Value], term: u64) -> Result<bool, Status> {
        let deleting = value::is_deleting(&all[index]);
        let remaining = if deleting { self.empty(&all[index], term).await? } else { 0 };
        let now = keelson_types::meta::time_text((self.settings.clock)());
        let room = deleting || is_true(&all[index], "Established") || self.caches.has_room(&all[index]);
        if let Some(status) = status::plan(&all[index], all, remaining, room, &now) {
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
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, plural) = (text(&definition["spec"]["group"]), text(&definition["spec"]["names"]["plural"]));
        if custom::is_own(&group) {
            // There were never any, and what is stored there is the program's.
            return Ok(0);
        }
        let served = self.served();
        let resource = served.resources().find(|resource| {
            let kind = resource.defined.stored;
            group == kind.group && plural == kind.plural
        });
        let prefix = keys::custom(&group, &plural);
        // It reads all kinds anew, or cannot read the kind's schema: objects cannot be deleted now, and their definition stays as
        // long as they do.
        let Some(resource) = resource else { return self.stored(&prefix).await };
        if !resource.terminating {
            // This member does not refuse new objects yet.
            return Ok(1);
        }
        let kind = resource.defined.stored;
        // Nothing is created any more that this member does not know, once it knows everything up to now.
        self.catch_up().await?;
        let (objects, _) = self.caches.snapshot_of(&resource.cache);
        if objects.is_empty() {
            // What cannot be read is in no cache.
            return self.stored(&prefix).await;
        }
        let mut failed = None;
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
                Err(status) if is_everywhere(&status) => return Err(status),
                // It keeps none of the others.
                Err(status) => failed = failed.or(Some((object.path().clone(), status))),
            }
        }
        if let Some((path, status)) = failed {
            warn!(group, plural, %path, %status, "objects of a kind that goes cannot be deleted");
        }
        Ok(objects.len())
    }

    /// How many objects the store has below a prefix, whether or not this member serves them or can read them.
    pub(super) async fn stored(&self, prefix: &str) -> Result<usize, Status> {
        let request = RangeRequest {
            range_end: Bytes::from(keys::range_end(prefix)),
            key: Bytes::from(prefix.to_owned()),
            count_only: true,
            ..RangeRequest::default()
        };
        let count = self.store.range(request).await.map_err(status_code::of_read)?.count;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn write_definition(&self, definition: &Value, subresource: Subresource, term: u64) -> Result<(), Status> {
        let kind: &'static Kind = self.kinds.definitions;
        let name = value::metadata_text(definition, "name").to_owned();
        let target = Target { kind, namespace: String::new(), name, subresource };
        let body = Bytes::from(definition.to_string());
        self.write_own(&[Operation::Update { target, body }], &own(term)).await
    }
}

/// Why none of the definitions can be looked after now.
enum Stopped {
    /// Another member leads.
    Fenced,
    Unavailable(Status),
}

/// Whether it is no matter of one object: another member leads, or the store cannot say.
fn is_everywhere(status: &Status) -> bool {
    matches!(status.reason, Reason::Fenced | Reason::ServiceUnavailable | Reason::UnknownOutcome)
}

/// In which order definitions are looked at: new kinds do not wait for the objects of those that go.
fn order(all: &[Value]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|index| value::is_deleting(&all[*index]));
    order
}

fn own(term: u64) -> WriteOptions {
    WriteOptions { fence_term: term, field_manager: MANAGER.to_owned(), ..WriteOptions::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn new_kinds_do_not_wait_for_those_that_go() {
        let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(order(&[gone.clone(), json!({}), gone, json!({})]), [1, 3, 0, 2]);
    }
}
