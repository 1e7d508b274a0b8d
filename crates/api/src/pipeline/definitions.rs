//! Accepts CustomResourceDefinitions, and empties those that are being deleted.
//!
//! Done by whoever leads, from the caches, by level: whenever a definition has changed, or an object of a kind that goes, all of
//! them are looked at, without their schemas. What to say of one is decided by [`status::plan`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::Kind;
use keelson_types::kinds::custom_resource_definition::{CLEANUP, is_true};
use keelson_types::status::{Reason, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Pipeline;
use super::request::{DeleteOptions, Operation, Subresource, Target, WriteOptions};
use crate::cache::Objects;
use crate::custom::{self, DEFINITIONS_MAX, status};
use crate::{keys, value};

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
        let mut outlines = Outlines::default();
        loop {
            let now = *leadership.borrow_and_update();
            changed.borrow_and_update();
            let mut done = true;
            if now.leading {
                match self.define_all(now.term, &mut outlines).await {
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
    async fn define_all(&self, term: u64, outlines: &mut Outlines) -> Result<bool, Stopped> {
        if !self.is_ready() {
            return Ok(false);
        }
        // What was accepted before, by this leader or the last one, has its names.
        self.catch_up().await.map_err(Stopped::Unavailable)?;
        let (definitions, _) = self.caches.snapshot(self.kinds.definitions);
        let mut all = outlines.of(&definitions);
        let mut done = true;
        for index in order(&all) {
            done &= match self.define_one(index, &mut all, &definitions, term).await {
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

    async fn define_one(
        &self,
        index: usize,
        all: &mut [Value],
        definitions: &Objects,
        term: u64,
    ) -> Result<bool, Status> {
        let deleting = value::is_deleting(&all[index]);
        let remaining = if deleting { self.empty(&all[index], term).await? } else { 0 };
        let now = keelson_types::meta::time_text((self.settings.clock)());
        let name = value::metadata_text(&all[index], "name").to_owned();
        // As it was outlined; it is written only when it is still so.
        let whole = || {
            let found = definitions.get(name.as_str()).and_then(|object| object.value().ok());
            found.ok_or_else(|| Status::not_found(self.kinds.definitions.group, self.kinds.definitions.plural, &name))
        };
        let room = deleting || is_true(&all[index], "Established") || {
            established(all) < DEFINITIONS_MAX && self.caches.has_room(&whole()?)
        };
        if let Some(status) = status::plan(&all[index], all, remaining, room, &now) {
            let mut definition = whole()?;
            definition["status"] = status.clone();
            self.write_definition(&definition, Subresource::Status, term).await?;
            all[index]["status"] = status;
            // What was read before is older than what was written now: the next round goes on.
            return Ok(!deleting);
        }
        if deleting && remaining == 0 {
            let mut finalizers = value::finalizers(&all[index]);
            let before = finalizers.len();
            finalizers.retain(|finalizer| finalizer != CLEANUP);
            if finalizers.len() != before {
                let mut definition = whole()?;
                value::set_finalizers(&mut definition, &finalizers);
                self.write_definition(&definition, Subresource::None, term).await?;
                info!(name, "all objects of a kind are gone");
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

    async fn write_definition(&self, definition: &Value, subresource: Subresource, term: u64) -> Result<(), Status> {
        let kind: &'static Kind = self.kinds.definitions;
        let name = value::metadata_text(definition, "name").to_owned();
        let target = Target { kind, namespace: String::new(), name, subresource };
        let body = Bytes::from(definition.to_string());
        self.write_own(&[Operation::Update { target, body }], &own(term)).await
    }
}

/// What of each definition decides about all of them, kept from one round to the next: without schemas, and without what else
/// users write into it.
#[derive(Default)]
struct Outlines(HashMap<Arc<str>, (i64, Value)>);

impl Outlines {
    /// In the order of their names. Only what has changed is read.
    fn of(&mut self, definitions: &Objects) -> Vec<Value> {
        let mut before = std::mem::take(&mut self.0);
        let mut all = Vec::with_capacity(definitions.len());
        for (path, object) in definitions {
            let outline = match before.remove(path) {
                Some((revision, outline)) if revision == object.revision() => outline,
                // What the caches have is JSON.
                _ => match outline(object.json()) {
                    Some(outline) => outline,
                    None => continue,
                },
            };
            self.0.insert(path.clone(), (object.revision(), outline.clone()));
            all.push(outline);
        }
        all
    }
}

/// The fields of a definition that [`status::plan`] and its callers look at.
fn outline(text: &[u8]) -> Option<Value> {
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Metadata {
        name: Value,
        creation_timestamp: Value,
        deletion_timestamp: Value,
        finalizers: Value,
    }
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Spec {
        group: Value,
        names: Value,
    }
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Outline {
        metadata: Metadata,
        spec: Spec,
        status: Value,
    }
    serde_json::to_value(serde_json::from_slice::<Outline>(text).ok()?).ok()
}

/// How many kinds users have defined that are served.
fn established(all: &[Value]) -> usize {
    all.iter().filter(|definition| is_true(definition, "Established")).count()
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
    use crate::cache::Object;

    #[test]
    fn new_kinds_do_not_wait_for_those_that_go() {
        let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(order(&[gone.clone(), json!({}), gone, json!({})]), [1, 3, 0, 2]);
    }

    #[test]
    fn definitions_are_looked_at_without_their_schemas_and_once() {
        let definition = json!({
            "metadata": {
                "name": "things.example.com", "finalizers": [CLEANUP], "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"large": "x"}, "managedFields": [{"manager": "m"}],
            },
            "spec": {"group": "example.com", "names": {"plural": "things"}, "versions": [{"name": "v1", "schema": {}}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        });
        let kind = keelson_types::registry::by_name("customresourcedefinitions").expect("is there");
        let written = |revision| -> Objects {
            let text = definition.to_string();
            let object = Object::decode(kind, "things.example.com", text.as_bytes(), revision).expect("is read");
            [(Arc::from("things.example.com"), Arc::new(object))].into_iter().collect()
        };
        let mut outlines = Outlines::default();
        let all = outlines.of(&written(5));
        let mut expected = definition.clone();
        expected["spec"].as_object_mut().expect("a map").remove("versions");
        for field in ["annotations", "managedFields"] {
            expected["metadata"].as_object_mut().expect("a map").remove(field);
        }
        expected["metadata"]["deletionTimestamp"] = Value::Null;
        assert_eq!(all, [expected]);
        assert_eq!(established(&all), 1);
        assert!(!value::is_deleting(&all[0]));

        outlines.0.get_mut("things.example.com").expect("is kept").1 = json!("kept");
        assert_eq!(outlines.of(&written(5)), ["kept"], "nothing has changed");
        assert_ne!(outlines.of(&written(6)), ["kept"]);
        assert!(outlines.of(&Objects::default()).is_empty() && outlines.0.is_empty());
    }
}
