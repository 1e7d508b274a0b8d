//! A running watch, as its reader holds it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::catch_up::{self, Step};
use super::slot::{Slot, Taken};
use super::{Item, Options};
use crate::machine;
use crate::state::Error;
use crate::state::reader::Shared;

/// A running watch. Dropping it ends it.
pub struct Watcher {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// Read from history, not handed out yet; older than all that is in the slot.
    caught_up: VecDeque<Item>,
    /// A step through history under way. Kept here, so that `next` can be dropped at any time.
    reading: Option<JoinHandle<Result<Step, Error>>>,
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
        while !self.ended {
            if let Some(item) = self.caught_up.pop_front() {
                return Some(item);
            }
            if self.reading.is_none() {
                self.permit = None;
            }
            match self.slot.take() {
                Taken::Events(item) => return Some(item),
                Taken::Behind { next } => {
                    if let Some(item) = self.catch_up(next).await {
                        return Some(item);
                    }
                }
                Taken::Closed => self.ended = true,
                Taken::Nothing => {
                    let progress = self.progress();
                    if self.progress_requested && progress > 0 {
                        self.progress_requested = false;
                        return Some(Item::Progress { revision: progress });
                    }
                    self.slot.changed.notified().await;
                }
            }
        }
        None
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

    /// Takes a step through history. Returns an item only when it is the last one.
    async fn catch_up(&mut self, next: i64) -> Option<Item> {
        if let Some(room) = &self.room
            && self.permit.is_none()
        {
            // It is never closed.
            self.permit = Arc::clone(room).acquire_owned().await.ok();
        }
        let (shared, slot) = (&self.shared, &self.slot);
        let reading = self.reading.get_or_insert_with(|| {
            let (shared, slot) = (shared.clone(), slot.clone());
            machine::spawn_blocking(move || catch_up::read(&shared, &slot, next))
        });
        let step = reading.await;
        self.reading = None;
        match step {
            Ok(Ok(Step::Events { items, next })) => {
                self.caught_up = items;
                self.shared.hub().rejoin(&self.slot, next);
                None
            }
            Ok(Ok(Step::Compacted { compact_revision })) => {
                self.ended = true;
                Some(Item::Compacted { compact_revision })
            }
            Ok(Err(Error::Closed)) => {
                self.ended = true;
                None
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, next, "a watch cannot read history");
                self.ended = true;
                None
            }
            // The runtime is shutting down.
            Err(_) => {
                self.ended = true;
                None
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.hub().unsubscribe(&self.slot);
    }
}
