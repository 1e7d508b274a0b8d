//! What this member knows of every kind: each object once, as encoded bytes, and the recent changes.
//!
//! One [`feed`] follows the store's watch for all kinds, so that one revision number says how far everything is complete
//! and a kind that nobody writes never holds a reader up.
//!
//! **Invariant**: a snapshot and its revision belong together: it holds exactly the changes of its kind up to that
//! revision. Readers never wait for a writer longer than it takes to clone a persistent map, which is constant.

mod feed;
mod history;
mod object;
mod size;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use imbl::OrdMap;
use keelson_types::status::Status;
use keelson_types::{Kind, registry};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::custom::{Definitions, Served};
use crate::keys;
use crate::status_code::RETRY_SECONDS;

pub use feed::run;
#[cfg(test)]
pub use feed::{advance, apply};
pub use history::{Batch, Change, ChangeKind, Limits};
pub use object::{Error, Object};
pub use size::Size;

use history::History;

/// Objects by path (`namespace/name`), in the store's order. Cloning is constant and shares everything.
pub type Objects = OrdMap<Arc<str>, Arc<Object>>;

/// A reader that waits for a revision gives up after this: the store answers barriers, but this member's feed hangs.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a reader that waits asks how far the store is.
const DEMAND_INTERVAL: Duration = Duration::from_millis(100);

/// The caches of all kinds.
#[derive(Debug)]
pub struct Caches {
    /// Of the program's own kinds.
    kinds: Vec<Arc<Cache>>,
    limits: Limits,
    /// Of the kinds that users define, as their definitions stand in the caches.
    served: ArcSwap<Served>,
    definitions: Mutex<Definitions>,
    /// The keys of all allocated addresses and ports.
    allocations: RwLock<HashSet<Box<[u8]>>>,
    /// Everything up to here is in the caches; 0 until they were filled for the first time.
    revision: watch::Sender<i64>,
    /// Somebody waits for a revision: the feed asks the store for a progress notice.
    demand: Notify,
}

/// The cache of one kind.
#[derive(Debug)]
pub struct Cache {
    kind: &'static Kind,
    prefix: String,
    limits: Limits,
    state: RwLock<State>,
    /// The revision of the newest change of this kind.
    changed: watch::Sender<i64>,
    /// The kind is defined otherwise now, or no more: nothing follows.
    closed: AtomicBool,
}

#[derive(Debug)]
struct State {
    objects: Objects,
    size: Size,
    history: History,
    /// The newest change applied, or the revision of the fill.
    newest: i64,
    filled: i64,
}

/// What a watcher finds after its cursor.
#[derive(Debug)]
pub enum Since {
    Batches(Vec<Arc<Batch>>),
    /// Nothing happened up to this revision.
    Nothing {
        revision: i64,
    },
    /// The window has moved on; the store's history may have it.
    Lost,
    /// The kind is defined otherwise now, or no more.
    Closed,
}

impl Caches {
    pub fn new(limits: Limits) -> Arc<Caches> {
        // A view has no cache of its own: it is made of what is stored.
        let kinds = registry::all().iter().filter(|kind| kind.view().is_none());
        let kinds = kinds.map(|kind| Arc::new(Cache::new(kind, limits))).collect();
        Arc::new(Caches {
            kinds,
            limits,
            served: ArcSwap::default(),
            definitions: Mutex::default(),
            allocations: RwLock::default(),
            revision: watch::Sender::new(0),
            demand: Notify::new(),
        })
    }

    /// The kinds that are served, with those that users define.
    pub fn served(&self) -> arc_swap::Guard<Arc<Served>> {
        self.served.load()
    }

    /// The cache of a kind. One that users define no more has an empty one, to which nothing happens.
    ///
    /// # Panics
    /// Never: every kind of the program has its cache.
    pub fn of(&self, kind: &'static Kind) -> Arc<Cache> {
        if kind.is_custom() {
            let served = self.served.load();
            return match served.resource(kind) {
                Some(resource) => resource.cache.clone(),
                None => Arc::new(Cache::closed(kind, self.limits, self.revision())),
            };
        }
        let kind = kind.stored();
        let cache = self.kinds.iter().find(|cache| std::ptr::eq(cache.kind, kind));
        cache.expect("every kind of the program has its cache").clone()
    }

    /// Whether this member could serve what a definition says that it does not serve yet.
    pub fn has_room(&self, definition: &serde_json::Value) -> bool {
        self.definitions.lock().has_room(definition)
    }

    /// The cache of a kind while requests for this very version of it are answered; both by one look at what is served, so that a
    /// kind that goes meanwhile is never taken for one that has no objects.
    pub fn serving(&self, kind: &'static Kind) -> Option<Arc<Cache>> {
        if !kind.is_custom() {
            return Some(self.of(kind));
        }
        let served = self.served.load();
        served.resource(kind).filter(|_| served.serves(kind)).map(|resource| resource.cache.clone())
    }

    /// Everything up to here is in the caches; 0 until they were filled for the first time.
    pub fn revision(&self) -> i64 {
        *self.revision.borrow()
    }

    /// Waits until the caches contain everything up to `revision`.
    ///
    /// # Errors
    /// Timeout when that takes too long.
    pub async fn wait(&self, revision: i64) -> Result<(), Status> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut receiver = self.revision.subscribe();
        let reached = async {
            loop {
                // Asked again, since the store itself may not have been there when it was asked first.
                self.demand.notify_one();
                let reached = receiver.wait_for(|current| *current >= revision);
                if tokio::time::timeout(DEMAND_INTERVAL, reached).await.is_ok() {
                    return;
                }
            }
        };
        match tokio::time::timeout(WAIT_MAX, reached).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let current = self.revision();
                let why = format_args!("Too large resource version: {revision}, current: {current}");
                Err(Status::timeout(why).with_retry_after(RETRY_SECONDS))
            }
        }
    }

    /// Objects and their revision, which belong together. Of a kind that users define, they are in the version that is stored.
    pub fn snapshot(&self, kind: &'static Kind) -> (Objects, i64) {
        self.snapshot_of(&self.of(kind))
    }

    /// The same of a cache that was found already.
    pub fn snapshot_of(&self, cache: &Cache) -> (Objects, i64) {
        // Read before the lock: whatever the feed finished is in the cache by then.
        let complete = self.revision();
        let state = cache.state.read();
        (state.objects.clone(), complete.max(state.newest))
    }

    pub fn get(&self, kind: &'static Kind, path: &str) -> Option<Arc<Object>> {
        self.of(kind).get(path)
    }

    /// What the objects of each kind take, sorted by the resource's name.
    pub fn sizes(&self) -> Vec<(String, Size)> {
        let served = self.served.load();
        let caches = self.kinds.iter().chain(served.resources().map(|resource| &resource.cache));
        let mut sizes: Vec<_> = caches.map(|cache| (cache.kind.qualified_plural(), cache.state.read().size)).collect();
        sizes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        sizes
    }

    /// Whether somebody holds an address or a port, by its key.
    pub fn is_allocated(&self, key: &str) -> bool {
        self.allocations.read().contains(key.as_bytes())
    }

    /// At most `max` revisions' changes right after `cursor`.
    pub fn since(&self, cache: &Cache, cursor: i64, max: usize) -> Since {
        // Read before the changes: a cache that is closed has all that it will ever have.
        let closed = cache.is_closed();
        let complete = self.revision();
        let state = cache.state.read();
        match state.history.after(cursor, max) {
            None if closed => Since::Closed,
            None => Since::Lost,
            Some(batches) if batches.is_empty() && closed => Since::Closed,
            Some(batches) if batches.is_empty() => Since::Nothing { revision: complete.max(state.newest) },
            Some(batches) => Since::Batches(batches),
        }
    }

    /// The revision of the newest change of a kind.
    pub fn newest_change(&self, kind: &'static Kind) -> i64 {
        *self.of(kind).changed.borrow()
    }

    /// Wakes at each change of a kind.
    pub fn changed(&self, kind: &'static Kind) -> watch::Receiver<i64> {
        self.of(kind).changed.subscribe()
    }
}

impl Cache {
    fn new(kind: &'static Kind, limits: Limits) -> Cache {
        let (objects, size) = (Objects::new(), Size::default());
        let state = State { objects, size, history: History::new(limits, 0), newest: 0, filled: 0 };
        Cache {
            kind,
            prefix: keys::prefix(kind),
            limits,
            state: RwLock::new(state),
            changed: watch::Sender::new(0),
            closed: AtomicBool::new(false),
        }
    }

    fn closed(kind: &'static Kind, limits: Limits, revision: i64) -> Cache {
        let cache = Cache::new(kind, limits);
        cache.fill(Objects::new(), revision);
        cache.close();
        cache
    }

    pub fn get(&self, path: &str) -> Option<Arc<Object>> {
        self.state.read().objects.get(path).cloned()
    }

    /// Nothing follows. Whoever watches is told when they have seen what there was.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.send_modify(|_| {});
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Of the keys of its objects, with the slash at the end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Wakes at each change.
    pub fn changed(&self) -> watch::Receiver<i64> {
        self.changed.subscribe()
    }

    /// From this revision on, [`Caches::since`] knows the changes.
    pub fn history_start(&self) -> i64 {
        self.state.read().history.start()
    }

    /// The revision that it was last filled at.
    pub fn filled(&self) -> i64 {
        self.state.read().filled
    }

    /// Starts over with everything that exists at `revision`. Watchers that are older go to the store's history.
    fn fill(&self, objects: Objects, revision: i64) {
        let history = History::new(self.limits, revision);
        let size = objects.values().map(|object| Size::of(object)).sum();
        *self.state.write() = State { objects, size, history, newest: revision, filled: revision };
        self.changed.send_replace(revision);
    }

    /// Applies the changes of one revision. A path without an object is one that was removed.
    fn apply(&self, revision: i64, puts: Vec<(Arc<str>, Option<Arc<Object>>)>) {
        let mut state = self.state.write();
        let mut changes = Vec::with_capacity(puts.len());
        for (path, object) in puts {
            let change = match object {
                Some(object) => {
                    let previous = state.objects.insert(path, object.clone());
                    state.size += Size::of(&object);
                    if let Some(previous) = &previous {
                        state.size -= Size::of(previous);
                    }
                    let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
                    Change { kind, object, previous }
                }
                None => {
                    let Some(previous) = state.objects.remove(&path) else { continue };
                    state.size -= Size::of(&previous);
                    let object = Arc::new(previous.at_revision(revision));
                    Change { kind: ChangeKind::Deleted, object, previous: Some(previous) }
                }
            };
            changes.push(change);
        }
        if changes.is_empty() {
            return;
        }
        state.newest = revision;
        state.history.push(Batch { revision, changes });
        drop(state);
        self.changed.send_replace(revision);
    }
}
