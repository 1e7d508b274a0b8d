//! Routes the events of each new revision to the watchers of its keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use bytes::Bytes;
use keelson_proto::mvccpb::{Event, KeyValue, event};
use parking_lot::Mutex;

use super::Options;
use super::slot::{Mode, Picks, Slot};
use crate::mvcc::span::Span;
use crate::mvcc::value::Kind;

/// The changes of one revision, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) revision: i64,
    pub(crate) changes: Vec<Change>,
    retained: OnceLock<Retained>,
}

/// Counts the bytes of a revision for as long as some watcher has not taken it.
#[derive(Debug)]
struct Retained {
    bytes: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One change to one key.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    /// Its place among the changes of its revision, in the order of which they are kept; not always without gaps.
    pub(crate) sub: u32,
    /// The new pair; of a deletion, key and revision only.
    pub(crate) pair: KeyValue,
    pub(crate) previous: Previous,
    encoded: OnceLock<Bytes>,
    encoded_with_previous: OnceLock<Bytes>,
}

/// The pair that a change replaced.
#[derive(Debug)]
pub(crate) enum Previous {
    None,
    Pair(KeyValue),
    /// Nobody had asked for it when the change was applied. A watcher that wants it reads history instead.
    NotRead,
}

/// Bytes that an event takes besides its keys and values.
const EVENT_OVERHEAD_BYTES: usize = 128;

impl Retained {
    fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Revision {
    pub(crate) fn new(revision: i64, changes: Vec<Change>) -> Self {
        Self { revision, changes, retained: OnceLock::new() }
    }

    /// An event of this revision as it stands in a watch response. Encoded for the first watcher that asks, and shared by all.
    pub(super) fn encoded(&self, change: &Change, prev_kv: bool) -> Bytes {
        let previous = prev_kv && matches!(change.previous, Previous::Pair(_));
        let encoded = if previous { &change.encoded_with_previous } else { &change.encoded };
        let encode = || {
            let encoded = encode(&change.event(previous));
            if let Some(retained) = self.retained.get() {
                retained.grow(encoded.len());
            }
            encoded
        };
        encoded.get_or_init(encode).clone()
    }
}

impl Change {
    pub(crate) fn new(kind: Kind, sub: u32, pair: KeyValue, previous: Previous) -> Self {
        Self { kind, sub, pair, previous, encoded: OnceLock::new(), encoded_with_previous: OnceLock::new() }
    }

    pub(super) fn size_bytes(&self) -> usize {
        let previous = match &self.previous {
            Previous::Pair(previous) => previous.key.len() + previous.value.len(),
            Previous::None | Previous::NotRead => 0,
        };
        EVENT_OVERHEAD_BYTES + self.pair.key.len() + self.pair.value.len() + previous
    }

    /// The event, with the pair that was replaced if that is wanted and known.
    pub(super) fn event(&self, prev_kv: bool) -> Event {
        let kind = match self.kind {
            Kind::Put => event::EventType::Put,
            Kind::Delete => event::EventType::Delete,
        };
        let prev_kv = match &self.previous {
            Previous::Pair(previous) if prev_kv => Some(previous.clone()),
            Previous::Pair(_) | Previous::None | Previous::NotRead => None,
        };
        Event { r#type: kind.into(), kv: Some(self.pair.clone()), prev_kv }
    }
}

/// The number of `WatchResponse`'s field `events`.
const EVENTS_FIELD: u32 = 11;

/// An event as it stands in a watch response.
pub(crate) fn encode(event: &Event) -> Bytes {
    let mut encoded = Vec::with_capacity(prost::encoding::message::encoded_len(EVENTS_FIELD, event));
    prost::encoding::message::encode(EVENTS_FIELD, event, &mut encoded);
    encoded.into()
}

/// Watchers that have something to take. Dropping this wakes them: those who wait for a write are told of it first.
#[must_use]
pub(crate) struct Wakes(Vec<Waker>);

impl Drop for Wakes {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// Knows who watches what.
pub(crate) struct Hub {
    routes: Mutex<Routes>,
    prev_kv_watchers: AtomicUsize,
    /// Bytes of all revisions that some watcher has not taken yet, each counted once.
    retained: Arc<AtomicUsize>,
}

/// Bytes of revisions that are kept for all watchers together. Beyond, those that have not taken theirs read them from
/// history, so that no number of watchers that do not read costs more.
const RETAINED_BYTES_MAX: usize = 64 << 20;

struct Routes {
    /// The newest revision whose events have been handed to the watchers that are live.
    published: i64,
    closed: bool,
    keys: HashMap<Bytes, Vec<Arc<Slot>>>,
    /// Watchers of the same range share an entry. Distinct ranges are few (the API watches one for each kind of object), so
    /// that looking at each of them for each event is fast enough.
    ranges: BTreeMap<Span, Vec<Arc<Slot>>>,
}

impl Hub {
    pub(crate) fn new(published: i64) -> Self {
        Self {
            routes: Mutex::new(Routes { published, closed: false, keys: HashMap::new(), ranges: BTreeMap::new() }),
            prev_kv_watchers: AtomicUsize::new(0),
            retained: Arc::default(),
        }
    }

    /// Whether some watcher wants replaced pairs.
    pub(crate) fn wants_prev_kv(&self) -> bool {
        self.prev_kv_watchers.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn published(&self) -> i64 {
        self.routes.lock().published
    }

    /// Hands out the events of `revisions`, which follow the published ones and end with `newest`. Watchers find them at
    /// once, and are woken when the caller drops what is returned.
    pub(crate) fn publish(&self, newest: i64, revisions: Vec<Arc<Revision>>) -> Wakes {
        let mut wakes = Wakes(Vec::new());
        if revisions.is_empty() {
            return wakes;
        }
        let mut routes = self.routes.lock();
        for revision in &revisions {
            self.retain(revision);
            routes.route(revision, &mut wakes.0);
        }
        routes.published = newest;
        // What nobody wants goes now.
        drop(revisions);
        if self.retained_bytes() > RETAINED_BYTES_MAX {
            routes.all().for_each(|slot| slot.shed());
        }
        wakes
    }

    fn retain(&self, revision: &Revision) {
        let bytes = revision.changes.iter().map(Change::size_bytes).sum();
        self.retained.fetch_add(bytes, Ordering::Relaxed);
        // A revision is published once; were it not, this would take the bytes off again.
        drop(revision.retained.set(Retained { bytes: AtomicUsize::new(bytes), all: Arc::clone(&self.retained) }));
    }

    /// Bytes of revisions that some watcher has not taken yet.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.retained.load(Ordering::Relaxed)
    }

    pub(super) fn subscribe(&self, options: &Options) -> Arc<Slot> {
        let mut routes = self.routes.lock();
        let start = if options.start_revision > 0 { options.start_revision } else { routes.published + 1 };
        let mode = if routes.closed {
            Mode::Closed
        } else if start > routes.published {
            Mode::Live { from: start }
        } else {
            Mode::Behind { next: start }
        };
        let slot = Arc::new(Slot::new(options, mode));
        routes.watchers(&slot.span).push(slot.clone());
        if slot.prev_kv {
            self.prev_kv_watchers.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    pub(super) fn unsubscribe(&self, slot: &Arc<Slot>) {
        self.routes.lock().remove(slot);
        if slot.prev_kv {
            self.prev_kv_watchers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends a step through history: the watcher is live again when nothing is left before `next`.
    pub(super) fn rejoin(&self, slot: &Slot, next: i64) {
        let routes = self.routes.lock();
        slot.set_mode(|mode| match mode {
            Mode::Closed => Mode::Closed,
            Mode::Behind { .. } | Mode::Live { .. } if next > routes.published => Mode::Live { from: next },
            Mode::Behind { .. } | Mode::Live { .. } => Mode::Behind { next },
        });
    }

    /// The revision up to which `slot` has nothing left to hand out, or 0 while it waits for a start in the future.
    pub(super) fn progress(&self, slot: &Slot) -> i64 {
        let routes = self.routes.lock();
        match slot.state() {
            (Some(buffered), _) => buffered - 1,
            (None, Mode::Behind { next }) => next - 1,
            (None, Mode::Live { from }) if from > routes.published + 1 => 0,
            (None, Mode::Live { .. } | Mode::Closed) => routes.published,
        }
    }

    /// Follows a replacement of the whole content by one whose newest revision is `revision`.
    pub(crate) fn reset(&self, revision: i64) {
        let mut routes = self.routes.lock();
        let first_missed = routes.published + 1;
        routes.published = revision;
        for slot in routes.all() {
            slot.set_mode(|mode| match mode {
                Mode::Live { from } if from.max(first_missed) <= revision => {
                    Mode::Behind { next: from.max(first_missed) }
                }
                other => other,
            });
        }
    }

    /// How many watchers there are, and how many of them have to catch up from history.
    pub(crate) fn watchers(&self) -> (usize, usize) {
        let routes = self.routes.lock();
        let behind = routes.all().filter(|slot| matches!(slot.state(), (_, Mode::Behind { .. })));
        (routes.all().count(), behind.count())
    }

    /// Ends all watchers.
    pub(crate) fn close(&self) {
        let mut routes = self.routes.lock();
        routes.closed = true;
        for slot in routes.all() {
            slot.set_mode(|_| Mode::Closed);
        }
    }
}

impl Routes {
    fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.keys.values().chain(self.ranges.values()).flatten()
    }

    fn watchers(&mut self, span: &Span) -> &mut Vec<Arc<Slot>> {
        match span {
            Span::One(key) => self.keys.entry(key.clone()).or_default(),
            range => self.ranges.entry(range.clone()).or_default(),
        }
    }

    fn remove(&mut self, slot: &Arc<Slot>) {
        let left = self.watchers(&slot.span);
        left.retain(|other| !Arc::ptr_eq(other, slot));
        if left.is_empty() {
            match &slot.span {
                Span::One(key) => drop(self.keys.remove(key)),
                range => drop(self.ranges.remove(range)),
            }
        }
    }

    fn route(&self, revision: &Arc<Revision>, wakes: &mut Vec<Waker>) {
        if let [change] = revision.changes.as_slice() {
            self.matching(change, |slot| wakes.extend(slot.push(revision, Picks::All)));
            return;
        }
        // A watcher gets all of a revision at once, so that nobody sees a part of it.
        let mut picks: Vec<(&Arc<Slot>, Vec<usize>)> = Vec::new();
        let mut found: HashMap<*const Slot, usize> = HashMap::new();
        for (place, change) in revision.changes.iter().enumerate() {
            self.matching(change, |slot| {
                let at = *found.entry(Arc::as_ptr(slot)).or_insert_with(|| {
                    picks.push((slot, Vec::new()));
                    picks.len() - 1
                });
                picks[at].1.push(place);
            });
        }
        // In the order in which they were found: addresses must not decide who is woken first.
        for (slot, places) in picks {
            let all = places.len() == revision.changes.len();
            wakes.extend(slot.push(revision, if all { Picks::All } else { Picks::Some(places) }));
        }
    }

    fn matching<'a>(&'a self, change: &Change, mut found: impl FnMut(&'a Arc<Slot>)) {
        let key = &change.pair.key;
        let of_key = self.keys.get(key).into_iter().flatten();
        let of_ranges = self.ranges.iter().filter(|(range, _)| range.contains(key)).flat_map(|(_, slots)| slots);
        of_key.chain(of_ranges).filter(|slot| slot.wants(change.kind)).for_each(&mut found);
    }
}
