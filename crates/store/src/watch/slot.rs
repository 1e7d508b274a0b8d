//! What the hub and a watcher share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use futures::task::AtomicWaker;
use keelson_proto::mvccpb::Event;
use parking_lot::Mutex;

use super::Options;
use super::hub::{Change, Previous, Revision};
use crate::mvcc::span::Span;
use crate::mvcc::value::Kind;

/// One watcher's place in the hub. Lock order: the hub before a slot.
pub(super) struct Slot {
    pub(super) span: Span,
    pub(super) prev_kv: bool,
    no_put: bool,
    no_delete: bool,
    max_buffered_bytes: usize,
    queue: Mutex<Queue>,
    /// Woken when there is something to take.
    pub(super) reader: AtomicWaker,
}

struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Gets what is published from this revision on.
    Live { from: i64 },
    /// Has to read history from this revision on, once the queue is empty.
    Behind { next: i64 },
    /// The store is gone.
    Closed,
}

/// Events of one revision for one watcher.
pub(crate) struct Delivery {
    revision: Arc<Revision>,
    picks: Picks,
    bytes: usize,
    prev_kv: bool,
}

/// Which changes of a revision match.
pub(super) enum Picks {
    All,
    Some(Vec<usize>),
}

/// What a watcher finds in its slot.
pub(super) enum Taken {
    Events(Delivery),
    Nothing,
    Behind { next: i64 },
    Closed,
}

impl Slot {
    pub(super) fn new(options: &Options, mode: Mode) -> Self {
        Self {
            span: Span::new(&options.key, &options.range_end),
            prev_kv: options.prev_kv,
            no_put: options.no_put,
            no_delete: options.no_delete,
            max_buffered_bytes: options.max_buffered_bytes,
            queue: Mutex::new(Queue { deliveries: VecDeque::new(), bytes: 0, mode }),
            reader: AtomicWaker::new(),
        }
    }

    /// Whether changes of this kind are wanted.
    pub(super) fn wants(&self, kind: Kind) -> bool {
        match kind {
            Kind::Put => !self.no_put,
            Kind::Delete => !self.no_delete,
        }
    }

    /// Offers a revision's matching changes. Returns whom to wake.
    pub(super) fn push(&self, revision: &Arc<Revision>, picks: Picks) -> Option<Waker> {
        let mut queue = self.queue.lock();
        let Mode::Live { from } = queue.mode else {
            return None;
        };
        if revision.revision < from {
            return None;
        }
        let picked = || picks.of(revision);
        let bytes = picked().map(Change::size_bytes).sum();
        let full = !queue.deliveries.is_empty() && queue.bytes + bytes > self.max_buffered_bytes;
        let incomplete = self.prev_kv && picked().any(|change| matches!(change.previous, Previous::NotRead));
        if full || incomplete {
            queue.mode = Mode::Behind { next: revision.revision };
        } else {
            queue.bytes += bytes;
            queue.deliveries.push_back(Delivery { revision: revision.clone(), picks, bytes, prev_kv: self.prev_kv });
        }
        drop(queue);
        self.reader.take()
    }

    /// Lets go of all that was not taken; it is read from history later.
    pub(super) fn shed(&self) {
        let mut queue = self.queue.lock();
        let Some(first) = queue.deliveries.front().map(|delivery| delivery.revision.revision) else { return };
        if queue.mode != Mode::Closed {
            queue.mode = Mode::Behind { next: first };
            queue.deliveries = VecDeque::new();
            queue.bytes = 0;
            self.reader.wake();
        }
    }

    /// Takes the oldest buffered revision, or tells what to do instead.
    pub(super) fn take(&self) -> Taken {
        let mut queue = self.queue.lock();
        if queue.mode == Mode::Closed {
            return Taken::Closed;
        }
        let Some(delivery) = queue.deliveries.pop_front() else {
            return match queue.mode {
                Mode::Behind { next } => Taken::Behind { next },
                Mode::Live { .. } => Taken::Nothing,
                Mode::Closed => Taken::Closed,
            };
        };
        queue.bytes -= delivery.bytes;
        drop(queue);
        Taken::Events(delivery)
    }

    /// The first buffered revision, and the mode.
    pub(super) fn state(&self) -> (Option<i64>, Mode) {
        let queue = self.queue.lock();
        (queue.deliveries.front().map(|delivery| delivery.revision.revision), queue.mode)
    }

    pub(super) fn set_mode(&self, change: impl FnOnce(Mode) -> Mode) {
        let mut queue = self.queue.lock();
        queue.mode = change(queue.mode);
        self.reader.wake();
    }
}

impl Delivery {
    pub(crate) fn revision(&self) -> i64 {
        self.revision.revision
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        self.picks.of(&self.revision).map(|change| change.event(self.prev_kv))
    }

    /// The events as they stand in a watch response.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = Bytes> {
        self.picks.of(&self.revision).map(|change| self.revision.encoded(change, self.prev_kv))
    }
}

impl Picks {
    fn of<'a>(&'a self, revision: &'a Revision) -> Box<dyn Iterator<Item = &'a Change> + 'a> {
        match self {
            Picks::All => Box::new(revision.changes.iter()),
            Picks::Some(places) => Box::new(places.iter().filter_map(|place| revision.changes.get(*place))),
        }
    }
}
