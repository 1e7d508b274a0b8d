//! One watch of a stream, as a stream of turns: whatever is ready, gathered up to a size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use keelson_proto::mvccpb::Event;
use prost::Message as _;
use tokio::sync::Notify;

use crate::watch::{Item, Watcher};

/// Revisions are gathered into one response until it has this size. Well under the 4 MiB that gRPC clients accept by
/// default; a single revision is never split here, whatever its size.
const TURN_BYTES: usize = 1 << 20;

/// What a watch has to say.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Whole revisions, in order.
    pub(super) events: Vec<Event>,
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
    wake: Notify,
    cancelled: AtomicBool,
    progress: AtomicBool,
}

impl Control {
    /// Ends the watch without a further turn.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Asks for a turn with `progress` once everything up to now was delivered.
    pub(super) fn report_progress(&self) {
        self.progress.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// The turns of one watch, each with `tag`. Ends after a turn with an end, or when cancelled.
pub(super) fn turns<T: Copy + Send + 'static>(
    tag: T,
    watcher: Watcher,
    control: Arc<Control>,
) -> BoxStream<'static, (T, Turn)> {
    stream::unfold(Some((watcher, control)), move |running| async move {
        let (mut watcher, control) = running?;
        let turn = turn(&mut watcher, &control).await?;
        let next = turn.end.is_none().then_some((watcher, control));
        Some(((tag, turn), next))
    })
    .boxed()
}

async fn turn(watcher: &mut Watcher, control: &Control) -> Option<Turn> {
    let first = loop {
        tokio::select! {
            biased;
            () = control.wake.notified() => {
                if control.cancelled.load(Ordering::Acquire) {
                    return None;
                }
                if control.progress.swap(false, Ordering::AcqRel) {
                    watcher.request_progress();
                }
            }
            item = watcher.next() => break item,
        }
    };
    let mut turn = Turn::default();
    let mut bytes = turn.take(first);
    while turn.end.is_none() && !turn.progress && bytes < TURN_BYTES {
        let Some(item) = watcher.next().now_or_never() else { break };
        bytes += turn.take(item);
    }
    Some(turn)
}

impl Turn {
    /// Takes an item in and returns its size.
    fn take(&mut self, item: Option<Item>) -> usize {
        match item {
            Some(Item::Events { revision, events }) => {
                let bytes = events.iter().map(Event::encoded_len).sum();
                self.delivered = revision;
                if self.events.is_empty() {
                    self.events = events;
                } else {
                    self.events.extend(events);
                }
                bytes
            }
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
}
