//! A running watch, as its reader holds it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use super::catch_up::{self, Step};
use super::slot::{Delivery, Slot, Taken};
use super::{Item, Options};
use crate::machine;
use crate::state::Error;
use crate::state::reader::Shared;

type Stepped = Result<Result<Step, Error>, JoinError>;

/// What a watcher finds.
pub(crate) enum Found {
    /// Of a revision that was just published.
    Live(Delivery),
    Item(Item),
}

/// A running watch. Dropping it ends it.
pub struct Watcher {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// Read from history, not handed out yet; older than all that is in the slot.
    caught_up: VecDeque<Item>,
    /// A step through history under way, which ends with its permit. Kept here, so that `next` can be dropped at any time.
    reading: Option<BoxFuture<'static, (Stepped, Option<OwnedSemaphorePermit>)>>,
    progress_requested: bool,
    ended: bool,
    /// Room for what watchers with the same reader have read from history and not handed out.
    room: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Watcher {
    pub(crate) fn new(shared: Arc<Shared>, options: Options) -> Self {
        let slot = shared.hub().subscribe(&options);
        Self {
            shared,
            slot,
            caught_up: VecDeque::new(),
            reading: None,
            progress_requested: false,
            ended: false,
            room: None,
            permit: None,
        }
    }

    /// Makes the watchers that share `room` take turns at reading history: each step of one needs a permit until it is handed
    /// out. So whoever reads all of them, or does not, holds a bounded amount.
    #[must_use]
    pub fn with_room(mut self, room: Arc<Semaphore>) -> Self {
        self.room = Some(room);
        self
    }

    /// The next item. None after `Compacted`, when the store is closed, or when its disk failed. Nothing is lost when the
    /// future is dropped before it is done. Needs a tokio runtime.
    pub async fn next(&mut self) -> Option<Item> {
        let found = poll_fn(|context| self.poll_found(context)).await?;
        Some(match found {
            Found::Live(delivery) => {
                Item::Events { revision: delivery.revision(), events: delivery.events().collect() }
            }
            Found::Item(item) => item,
        })
    }

    /// As [`Watcher::next`], with what is live as it is shared by all watchers.
    pub(crate) fn poll_found(&mut self, context: &mut Context<'_>) -> Poll<Option<Found>> {
        let mut registered = false;
        while !self.ended {
            if let Some(item) = self.caught_up.pop_front() {
                return Poll::Ready(Some(Found::Item(item)));
            }
            if let Some(reading) = &mut self.reading {
                let (step, permit) = ready!(reading.as_mut().poll(context));
                (self.reading, self.permit) = (None, permit);
                if let Some(last) = self.stepped(step) {
                    return Poll::Ready(Some(Found::Item(last)));
                }
                continue;
            }
            self.permit = None;
            match self.slot.take() {
                Taken::Events(delivery) => return Poll::Ready(Some(Found::Live(delivery))),
                Taken::Behind { next } => self.reading = Some(self.step(next)),
                Taken::Closed => self.ended = true,
                Taken::Nothing => {
                    // The hub's lock is everybody's: only who was asked goes to it.
                    let progress = if self.progress_requested { self.progress() } else { 0 };
                    if progress > 0 {
                        self.progress_requested = false;
                        return Poll::Ready(Some(Found::Item(Item::Progress { revision: progress })));
                    }
                    if registered {
                        return Poll::Pending;
                    }
                    // What came before this waker was known is seen by the next look.
                    self.slot.reader.register(context.waker());
                    registered = true;
                }
            }
        }
        Poll::Ready(None)
    }

    /// The revision up to which everything has been handed out; 0 while a start in the future is still waited for.
    #[must_use]
    pub fn progress(&self) -> i64 {
        match self.caught_up.front() {
            Some(Item::Events { revision, .. }) => revision - 1,
            _ => self.shared.hub().progress(&self.slot),
        }
    }

    /// Makes [`Watcher::next`] return a `Progress` as soon as everything published has been handed out.
    pub fn request_progress(&mut self) {
        self.progress_requested = true;
    }

    /// A step through history.
    fn step(&self, next: i64) -> BoxFuture<'static, (Stepped, Option<OwnedSemaphorePermit>)> {
        let (shared, slot, room) = (Arc::clone(&self.shared), Arc::clone(&self.slot), self.room.clone());
        Box::pin(async move {
            let permit = match room {
                // It is never closed.
                Some(room) => room.acquire_owned().await.ok(),
                None => None,
            };
            (machine::spawn_blocking(move || catch_up::read(&shared, &slot, next)).await, permit)
        })
    }

    /// Takes in what a step found. Returns an item only when it is the last one.
    fn stepped(&mut self, step: Stepped) -> Option<Item> {
        match step {
            Ok(Ok(Step::Events { items, next })) => {
                self.caught_up = items;
                self.shared.hub().rejoin(&self.slot, next);
                return None;
            }
            Ok(Ok(Step::Compacted { compact_revision })) => {
                self.ended = true;
                return Some(Item::Compacted { compact_revision });
            }
            Ok(Err(Error::Closed)) => {}
            Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "a watch cannot read history"),
            // The runtime is shutting down.
            Err(_) => {}
        }
        self.ended = true;
        None
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.hub().unsubscribe(&self.slot);
    }
}
