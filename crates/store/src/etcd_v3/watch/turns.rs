//! One watch of a stream, as a stream of turns: whatever is ready, gathered up to a size.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use futures::task::AtomicWaker;

use crate::watch::{Found, Item, Watcher, encode};

/// Revisions are gathered into one response until it has this size. Well under the 4 MiB that gRPC clients accept by
/// default; a single revision is never split here, whatever its size.
const TURN_BYTES: usize = 1 << 20;

/// What a watch has to say.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Whole revisions, in order; each event as it stands in a response.
    pub(super) events: Vec<Bytes>,
    /// Everything up to this revision was delivered, `events` included; 0 when nothing is known.
    pub(super) delivered: i64,
    /// The answer to [`Control::report_progress`].
    pub(super) progress: bool,
    pub(super) end: Option<End>,
}

/// Why a watch ended by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Compacted { compact_revision: i64 },
    Stopped,
}

/// Speaks to a watch that is being polled somewhere else.
#[derive(Debug, Default)]
pub(super) struct Control {
    waker: AtomicWaker,
    cancelled: AtomicBool,
    progress: AtomicBool,
}

impl Control {
    /// Ends the watch without a further turn.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks for a turn with `progress` once everything up to now was delivered.
    pub(super) fn report_progress(&self) {
        self.progress.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The turns of one watch, each with `tag`. Ends after a turn with an end, or when cancelled.
pub(super) struct Turns<T> {
    tag: T,
    running: Option<(Watcher, Arc<Control>)>,
}

impl<T> Turns<T> {
    pub(super) fn new(tag: T, watcher: Watcher, control: Arc<Control>) -> Self {
        Self { tag, running: Some((watcher, control)) }
    }
}

impl<T: Copy + Unpin> Stream for Turns<T> {
    type Item = (T, Turn);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<(T, Turn)>> {
        let Some((watcher, control)) = &mut self.running else { return Poll::Ready(None) };
        control.waker.register(context.waker());
        if control.cancelled.load(Ordering::Acquire) {
            self.running = None;
            return Poll::Ready(None);
        }
        if control.progress.swap(false, Ordering::AcqRel) {
            watcher.request_progress();
        }
        let turn = ready!(poll_turn(watcher, context));
        if turn.end.is_some() {
            self.running = None;
        }
        Poll::Ready(Some((self.tag, turn)))
    }
}

fn poll_turn(watcher: &mut Watcher, context: &mut Context<'_>) -> Poll<Turn> {
    let mut turn = Turn::default();
    let mut bytes = turn.take(ready!(watcher.poll_found(context)));
    while turn.end.is_none() && !turn.progress && bytes < TURN_BYTES {
        let Poll::Ready(found) = watcher.poll_found(context) else { break };
        bytes += turn.take(found);
    }
    Poll::Ready(turn)
}

impl Turn {
    /// Takes in what was found and returns its size.
    fn take(&mut self, found: Option<Found>) -> usize {
        let item = match found {
            Some(Found::Live(delivery)) => return self.take_events(delivery.revision(), delivery.encoded()),
            Some(Found::Item(item)) => Some(item),
            None => None,
        };
        match item {
            Some(Item::Events { revision, events }) => self.take_events(revision, events.iter().map(encode)),
            Some(Item::Progress { revision }) => {
                self.delivered = revision;
                self.progress = true;
                0
            }
            Some(Item::Compacted { compact_revision }) => {
                self.end = Some(End::Compacted { compact_revision });
                0
            }
            None => {
                self.end = Some(End::Stopped);
                0
            }
        }
    }

    fn take_events(&mut self, revision: i64, events: impl Iterator<Item = Bytes>) -> usize {
        let before = self.events.len();
        self.events.extend(events);
        self.delivered = revision;
        self.events[before..].iter().map(Bytes::len).sum()
    }
}

#[cfg(test)]
mod tests;
