//! Watches: initial objects from a snapshot, then changes from the cache's window, or from the store's history for whoever
//! is behind it.
//!
//! A watcher pulls; nothing is queued for it. One that reads slowly falls back to history, and when that is compacted it
//! ends with Expired, alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::mvccpb::{Event, KeyValue, event::EventType};
use keelson_store::watch::Item;
use keelson_types::Kind;
use keelson_types::status::Status;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::authorize::Verb;
use super::list::Items;
use super::request::{ReadVersion, Target, User, WatchOptions, WatchStart};
use crate::cache::{self, Batch, Cache, Caches, Object, Since};
use crate::keys;
use crate::select::Selection;

pub use crate::cache::ChangeKind;

/// Revisions that are handed out at once.
const BATCHES_MAX: usize = 256;
/// Bytes of objects after which no further revision is added. A single revision is never split, whatever its size.
const CHANGES_BYTES_MAX: usize = 1 << 20;
/// Initial objects that are handed out at once.
const INITIAL_MAX: usize = 500;
/// Bytes of them.
const INITIAL_BYTES_MAX: usize = 1 << 20;
/// How often an idle watcher is told how far it is. Often enough that the revision it resumes from is rarely compacted.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(15);
/// What the store may buffer for a watcher that reads history.
const CATCH_UP_BYTES_MAX: usize = 4 << 20;

/// A change as one watcher sees it.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: ChangeKind,
    /// For `Deleted` the last state, with the revision of the deletion.
    pub object: Arc<Object>,
}

#[derive(Clone, Debug)]
pub enum WatchItem {
    /// Whole revisions, in order. `revision` is how far the stream is complete; for initial objects, the snapshot's.
    Changes { revision: i64, changes: Vec<Change> },
    /// Everything up to `revision` was sent.
    Bookmark { revision: i64, initial_events_end: bool },
}

/// A running watch. Dropping it ends it.
pub struct Watch {
    kind: &'static Kind,
    cache: Arc<Cache>,
    selection: Arc<Selection>,
    caches: Arc<Caches>,
    store: keelson_store::Handle,
    changed: Receiver<i64>,
    phase: Phase,
    /// Everything up to here was handed out.
    cursor: i64,
    bookmarks: bool,
    next_bookmark: Instant,
    bookmark_due: bool,
    deadline: Option<Instant>,
    shutdown: CancellationToken,
    /// Counts what is handed out.
    events: prometheus::IntCounter,
}

enum Phase {
    Initial(Items),
    Live,
    CatchUp(keelson_store::watch::Watcher),
    Ended,
}

impl Pipeline {
    /// Watches a collection.
    ///
    /// # Errors
    /// Forbidden; BadRequest for a selector that is not one. Expired comes from the stream.
    pub async fn watch(&self, user: &User, target: &Target, options: WatchOptions) -> Result<Watch, Status> {
        self.authorize_collection(user, Verb::Watch, target, &options.field_selector)?;
        let select = |kind| Selection::parse(kind, &target.namespace, &options.label_selector, &options.field_selector);
        match options.start {
            WatchStart::Initial(version) => self.await_version(version).await?,
            WatchStart::Now => self.await_version(ReadVersion::MostRecent).await?,
            WatchStart::After(_) => {}
        }
        let kind = self.current(target.kind)?;
        let selection = Arc::new(select(kind)?);
        // The objects are of the same one: when the kind is defined anew in between, the watch ends at once and starts again.
        let cache = self.serving(kind)?;
        let (phase, cursor) = match options.start {
            WatchStart::Initial(_) => {
                let (objects, revision) = self.caches.snapshot_of(&cache);
                (Phase::Initial(Items::snapshot(objects, selection.clone())), revision)
            }
            WatchStart::Now => (Phase::Live, self.caches.revision()),
            WatchStart::After(revision) => (Phase::Live, revision),
        };
        let now = Instant::now();
        Ok(Watch {
            kind,
            selection,
            caches: self.caches.clone(),
            store: self.store.clone(),
            changed: cache.changed(),
            cache,
            phase,
            cursor,
            bookmarks: options.bookmarks,
            next_bookmark: now + BOOKMARK_INTERVAL,
            bookmark_due: false,
            // One beyond what the clock can count is none.
            deadline: options.timeout.and_then(|timeout| now.checked_add(timeout)),
            shutdown: self.shutdown.clone(),
            events: self.metrics.watch_events(kind),
        })
    }
}

/// What to do next.
enum Step {
    Give(WatchItem),
    Again,
    Wait,
    End(Option<Status>),
}

impl Watch {
    /// The next item; None when the watch ended normally: its time is over or the server stops. Cancel-safe.
    ///
    /// # Errors
    /// Expired when the history needed is compacted. The watch is over then.
    pub async fn next(&mut self) -> Option<Result<WatchItem, Status>> {
        loop {
            let step = match &mut self.phase {
                Phase::Ended => return None,
                Phase::Initial(items) => {
                    let objects = items.chunk(INITIAL_MAX, INITIAL_BYTES_MAX);
                    self.initial(objects)
                }
                Phase::Live => self.live(),
                Phase::CatchUp(watcher) => {
                    let item = tokio::select! {
                        item = watcher.next() => item,
                        // A kind that goes meanwhile has nothing more to tell.
                        outcome = self.changed.changed() => {
                            if outcome.is_err() || self.cache.is_closed() {
                                self.phase = Phase::Ended;
                                return Some(Err(self.expired()));
                            }
                            continue;
                        }
                        () = ended(self.deadline, &self.shutdown) => {
                            self.phase = Phase::Ended;
                            return None;
                        }
                    };
                    self.catch_up(item)
                }
            };
            match step {
                Step::Give(item) => {
                    let events = match &item {
                        WatchItem::Changes { changes, .. } => changes.len(),
                        WatchItem::Bookmark { .. } => 1,
                    };
                    self.events.inc_by(events as u64);
                    return Some(Ok(item));
                }
                Step::Again => {}
                Step::End(outcome) => {
                    self.phase = Phase::Ended;
                    return outcome.map(Err);
                }
                Step::Wait => tokio::select! {
                    outcome = self.changed.changed() => {
                        if outcome.is_err() {
                            self.phase = Phase::Ended;
                        }
                    }
                    () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                        // Looks once more first, to tell the newest revision.
                        self.bookmark_due = true;
                    }
                    () = ended(self.deadline, &self.shutdown) => {
                        self.phase = Phase::Ended;
                    }
                },
            }
        }
    }

    fn initial(&mut self, objects: Vec<Arc<Object>>) -> Step {
        if !objects.is_empty() {
            let changes = objects.into_iter().map(|object| Change { kind: ChangeKind::Added, object }).collect();
            return Step::Give(WatchItem::Changes { revision: self.cursor, changes });
        }
        self.phase = Phase::Live;
        if self.bookmarks {
            Step::Give(WatchItem::Bookmark { revision: self.cursor, initial_events_end: true })
        } else {
            Step::Again
        }
    }

    fn live(&mut self) -> Step {
        // Marked as seen before looking, so that a change after the look wakes us.
        self.changed.borrow_and_update();
        match self.caches.since(&self.cache, self.cursor, BATCHES_MAX) {
            Since::Batches(batches) => self.give(&batches),
            Since::Closed => Step::End(Some(self.expired())),
            Since::Nothing { revision } => {
                self.cursor = self.cursor.max(revision);
                if !std::mem::take(&mut self.bookmark_due) {
                    return Step::Wait;
                }
                self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                Step::Give(WatchItem::Bookmark { revision: self.cursor, initial_events_end: false })
            }
            // Whoever asks for what was before has objects as the kind was defined then, perhaps: they list again, and find
            // it as it is now.
            Since::Lost if self.kind.is_custom() && self.cursor < self.cache.filled() => {
                Step::End(Some(self.expired()))
            }
            Since::Lost => {
                let prefix = keys::prefix(self.kind);
                self.phase = Phase::CatchUp(self.store.watch(keelson_store::watch::Options {
                    range_end: Bytes::from(keys::range_end(&prefix)),
                    key: Bytes::from(prefix),
                    start_revision: self.cursor + 1,
                    prev_kv: true,
                    no_put: false,
                    no_delete: false,
                    max_buffered_bytes: CATCH_UP_BYTES_MAX,
                }));
                Step::Again
            }
        }
    }

    /// Makes clients list again; after a watch that merely ends they would go on with the objects that they have.
    fn expired(&self) -> Status {
        Status::too_old_resource_version(self.cursor, self.cache.filled().max(self.cursor + 1))
    }

    fn catch_up(&mut self, item: Option<Item>) -> Step {
        let step = match item {
            Some(Item::Events { revision, events }) => {
                let changes = events.iter().filter_map(|event| historic(self.kind, event)).collect();
                self.give(&[Arc::new(Batch { revision, changes })])
            }
            Some(Item::Progress { revision }) => {
                self.cursor = self.cursor.max(revision);
                Step::Again
            }
            Some(Item::Compacted { compact_revision }) => {
                return Step::End(Some(Status::too_old_resource_version(self.cursor, compact_revision)));
            }
            None => return Step::End(Some(Status::unavailable("this member is stopping; watch another"))),
        };
        if self.cursor >= self.cache.history_start() {
            self.phase = Phase::Live;
        }
        step
    }

    /// Moves the cursor past batches, as many as fit into one item, and gives what is seen of them.
    fn give(&mut self, batches: &[Arc<Batch>]) -> Step {
        let mut changes = Vec::new();
        let mut bytes = 0;
        for batch in batches {
            if bytes >= CHANGES_BYTES_MAX {
                break;
            }
            self.cursor = self.cursor.max(batch.revision);
            let seen = batch.changes.iter().filter_map(|change| self.selection.see(change));
            changes.extend(seen.map(|(kind, object)| {
                bytes += object.json().len();
                Change { kind, object }
            }));
        }
        if changes.is_empty() {
            return Step::Again;
        }
        self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
        Step::Give(WatchItem::Changes { revision: self.cursor, changes })
    }
}

/// A change as the store's history tells it. What cannot be read is passed over, as the caches do.
fn historic(kind: &'static Kind, event: &Event) -> Option<cache::Change> {
    let prefix = keys::prefix(kind).len();
    let decode = |kv: &KeyValue, revision| {
        let path = std::str::from_utf8(kv.key.get(prefix..)?).ok()?;
        Object::decode(kind.stored(), path, &kv.value, revision).ok()
    };
    let kv = event.kv.as_ref()?;
    let previous = event.prev_kv.as_ref().and_then(|kv| decode(kv, kv.mod_revision)).map(Arc::new);
    if event.r#type() == EventType::Put {
        let object = Arc::new(decode(kv, kv.mod_revision)?);
        let created = kv.create_revision == kv.mod_revision;
        let change = if created { ChangeKind::Added } else { ChangeKind::Modified };
        // A state before that is compacted cannot be compared: to be seen, the object must have matched then as now.
        let previous = if created { None } else { previous.or_else(|| Some(object.clone())) };
        return Some(cache::Change { kind: change, object, previous });
    }
    let previous = previous?;
    let object = Arc::new(previous.at_revision(kv.mod_revision));
    Some(cache::Change { kind: ChangeKind::Deleted, object, previous: Some(previous) })
}

/// Returns at the deadline, if there is one, or when the server stops.
async fn ended(deadline: Option<Instant>, shutdown: &CancellationToken) {
    match deadline {
        Some(deadline) => tokio::select! {
            () = tokio::time::sleep_until(deadline) => {}
            () = shutdown.cancelled() => {}
        },
        None => shutdown.cancelled().await,
    }
}
