//! Keeps the caches filled: a paginated read of every kind at one revision, then the store's watch from there.
//!
//! Starts over when the store has compacted what it would need next, which happens only to a member that was cut off
//! for long; its watchers then continue from the store's history, or are told that it is gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::RangeRequest;
use keelson_proto::mvccpb::{Event, KeyValue, event::EventType};
use keelson_store::{Handle, watch};
use keelson_types::kinds::custom_resource_definition::KIND as DEFINITION;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Cache, Caches, Object, Objects};
use crate::custom::{Resource, Served};
use crate::keys;

/// Objects a page of the first fill: a page of the largest objects still fits in memory, of usual ones is a megabyte.
const PAGE: i64 = 500;
/// What the store may buffer for the feed before it serves it from history.
const BUFFER_BYTES_MAX: usize = 16 << 20;
const RETRY: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("reading the store failed")]
    Store(#[from] keelson_store::Error),
    #[error("the history needed was compacted at revision {0}")]
    Compacted(i64),
    #[error("the store stopped")]
    Stopped,
}

/// Runs until `shutdown`, or until the store is gone.
pub async fn run(caches: Arc<Caches>, store: Handle, shutdown: CancellationToken) {
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&caches, &store) => outcome,
        };
        match outcome {
            Error::Stopped | Error::Store(keelson_store::Error::Stopped) => return,
            Error::Compacted(revision) => info!(revision, "the caches start over behind a compaction"),
            error => warn!(error = &error as &dyn std::error::Error, "filling the caches failed; trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn follow(caches: &Caches, store: &Handle) -> Error {
    let revision = match fill(caches, store).await {
        Ok(revision) => revision,
        Err(error) => return error,
    };
    let mut watcher = store.watch(watch::Options {
        key: Bytes::from_static(keys::ROOT.as_bytes()),
        range_end: Bytes::from_static(keys::ROOT_END.as_bytes()),
        start_revision: revision + 1,
        prev_kv: false,
        no_put: false,
        no_delete: false,
        max_buffered_bytes: BUFFER_BYTES_MAX,
    });
    loop {
        let item = tokio::select! {
            item = watcher.next() => item,
            () = caches.demand.notified() => {
                watcher.request_progress();
                continue;
            }
        };
        match item {
            Some(watch::Item::Events { revision, events }) => {
                // A definition is in force before anybody is told of it: who waits for a kind finds it.
                if let Some(definitions) = definitions_after(caches, revision, &events)
                    && let Err(error) = redefine(caches, store, revision, &definitions, Refill::Changed).await
                {
                    return error;
                }
                apply(caches, revision, events);
                advance(caches, revision);
            }
            Some(watch::Item::Progress { revision }) => advance(caches, revision),
            Some(watch::Item::Compacted { compact_revision }) => return Error::Compacted(compact_revision),
            None => return Error::Stopped,
        }
    }
}

pub fn advance(caches: &Caches, revision: i64) {
    caches.revision.send_if_modified(|current| {
        let newer = revision > *current;
        *current = revision.max(*current);
        newer
    });
}

/// Reads every kind at one revision, which it returns.
async fn fill(caches: &Caches, store: &Handle) -> Result<i64, Error> {
    // Local state will do: the watch continues from exactly there.
    let probe =
        RangeRequest { key: Bytes::from_static(keys::ROOT.as_bytes()), serializable: true, ..RangeRequest::default() };
    let header = store.range(probe).await?.header.unwrap_or_default();
    // Revision 0 would mean "the newest", and a store without writes is at 1.
    let revision = header.revision.max(1);
    for cache in &caches.kinds {
        let objects = read(cache, store, revision).await?;
        cache.fill(objects, revision);
    }
    let (definitions, _) = caches.snapshot(&DEFINITION);
    redefine(caches, store, revision, &definitions, Refill::All).await?;
    let mut allocations = HashSet::new();
    pages(store, keys::RANGES, revision, |kv| {
        allocations.insert(Box::from(&*kv.key));
    })
    .await?;
    *caches.allocations.write() = allocations;
    info!(revision, "the caches are filled");
    advance(caches, revision);
    Ok(revision)
}

/// Which of the caches of users' kinds are read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refill {
    All,
    /// Those whose objects are read otherwise now.
    Changed,
}

/// The definitions as the events of a revision leave them; `None` when they are about none.
fn definitions_after(caches: &Caches, revision: i64, events: &[Event]) -> Option<Objects> {
    let cache = caches.of(&DEFINITION);
    let mut definitions: Option<Objects> = None;
    for event in events {
        let Some(kv) = event.kv.as_ref().filter(|kv| kv.key.starts_with(cache.prefix.as_bytes())) else { continue };
        let definitions = definitions.get_or_insert_with(|| caches.snapshot(&DEFINITION).0);
        let put = event.r#type() == EventType::Put;
        match decode(&cache, &kv.key, put.then_some((&kv.value, revision))) {
            Some((path, Some(object))) => drop(definitions.insert(path, object)),
            Some((path, None)) => drop(definitions.remove(&path)),
            None => {}
        }
    }
    definitions
}

/// Serves what the definitions say. The objects of a kind that its definition reads otherwise now are read again, and
/// whoever watches them starts again. All kinds wait for that.
async fn redefine(
    caches: &Caches,
    store: &Handle,
    revision: i64,
    definitions: &Objects,
    refill: Refill,
) -> Result<(), Error> {
    let current = caches.definitions.lock().update(definitions);
    let before = caches.served.load_full();
    let mut resources = Vec::with_capacity(current.len());
    for one in current {
        let Some(defined) = one.defined else { continue };
        let kept = before.resource(defined.stored).filter(|known| known.defined.reading == defined.reading);
        let cache = match kept {
            Some(known) if refill == Refill::Changed => known.cache.clone(),
            known => {
                let cache = match known {
                    Some(known) => known.cache.clone(),
                    None => Arc::new(Cache::new(defined.stored, caches.limits)),
                };
                let objects = read(&cache, store, revision).await?;
                cache.fill(objects, revision);
                cache
            }
        };
        resources.push(Resource { defined, cache, revision: one.read_by, terminating: one.terminating });
    }
    let served = Arc::new(Served::new(resources));
    caches.served.store(served.clone());
    for resource in before.resources() {
        let stays =
            served.resource(resource.defined.stored).is_some_and(|now| Arc::ptr_eq(&now.cache, &resource.cache));
        if !stays {
            resource.cache.close();
        }
    }
    Ok(())
}

async fn read(cache: &Cache, store: &Handle, revision: i64) -> Result<Objects, Error> {
    let mut objects = Objects::new();
    pages(store, &cache.prefix, revision, |kv| {
        if let Some((path, Some(object))) = decode(cache, &kv.key, Some((&kv.value, kv.mod_revision))) {
            objects.insert(path, object);
        }
    })
    .await?;
    Ok(objects)
}

/// Reads everything below a prefix, in pages at one revision.
async fn pages(store: &Handle, prefix: &str, revision: i64, mut take: impl FnMut(&KeyValue)) -> Result<(), Error> {
    let range_end = Bytes::from(keys::range_end(prefix));
    let mut key = Bytes::from(prefix.to_owned());
    loop {
        let request = RangeRequest {
            key,
            range_end: range_end.clone(),
            limit: PAGE,
            revision,
            serializable: true,
            ..RangeRequest::default()
        };
        let page = store.range(request).await?;
        let Some(last) = page.kvs.last() else { return Ok(()) };
        let mut next = last.key.to_vec();
        next.push(0);
        key = next.into();
        page.kvs.iter().for_each(&mut take);
        if !page.more {
            return Ok(());
        }
    }
}

/// Applies the events of one revision.
pub fn apply(caches: &Caches, revision: i64, events: Vec<Event>) {
    // The events of one revision are few and mostly of one kind.
    let mut rest = events;
    for cache in &caches.kinds {
        if rest.is_empty() {
            return;
        }
        let mut own = Vec::new();
        rest.retain(|event| {
            let Some(kv) = &event.kv else { return false };
            if !kv.key.starts_with(cache.prefix.as_bytes()) {
                return true;
            }
            let put = event.r#type() == EventType::Put;
            own.extend(decode(cache, &kv.key, put.then_some((&kv.value, revision))));
            false
        });
        if !own.is_empty() {
            cache.apply(revision, own);
        }
    }
    let served = caches.served();
    let mut custom: Vec<(Arc<Cache>, Vec<_>)> = Vec::new();
    for event in &rest {
        let Some(kv) = &event.kv else { continue };
        let Some(resource) = served.resource_of_key(&kv.key) else { continue };
        if resource.cache.history_start() >= revision {
            // It was filled with what the store has at this revision.
            continue;
        }
        let put = event.r#type() == EventType::Put;
        let own = decode(&resource.cache, &kv.key, put.then_some((&kv.value, revision)));
        match custom.iter_mut().find(|(cache, _)| Arc::ptr_eq(cache, &resource.cache)) {
            Some((_, all)) => all.extend(own),
            None => custom.push((resource.cache.clone(), own.into_iter().collect())),
        }
    }
    for (cache, own) in custom {
        cache.apply(revision, own);
    }
    for event in &rest {
        let Some(kv) = event.kv.as_ref().filter(|kv| kv.key.starts_with(keys::RANGES.as_bytes())) else { continue };
        let mut allocations = caches.allocations.write();
        if event.r#type() == EventType::Put {
            allocations.insert(Box::from(&*kv.key));
        } else {
            allocations.remove(&*kv.key);
        }
    }
}

/// What the API cannot read is treated as absent, so that one bad value, which only somebody who writes to the store
/// directly can have put there, does not stop the control plane.
fn decode(cache: &Cache, key: &[u8], put: Option<(&Bytes, i64)>) -> Option<(Arc<str>, Option<Arc<Object>>)> {
    let path = std::str::from_utf8(key.get(cache.prefix.len()..)?).ok()?;
    let Some((value, revision)) = put else { return Some((path.into(), None)) };
    match Object::decode(cache.kind, path, value, revision) {
        Ok(object) => Some((object.path().clone(), Some(Arc::new(object)))),
        Err(error) => {
            warn!(kind = cache.kind.plural, error = &error as &dyn std::error::Error, "a stored value is unreadable");
            Some((path.into(), None))
        }
    }
}
