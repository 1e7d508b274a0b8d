//! The recent changes of one kind, shared by all of its watchers: each reads at its own pace by revision.
//!
//! **Invariant**: every change with a revision above `start` is here, whole revisions only, in order. A watcher that is
//! below `start` was slower than the window and reads the store's own history instead; it never holds anything up.

use std::collections::VecDeque;
use std::sync::Arc;

use super::object::Object;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    /// `object` is the last state, with the revision of the deletion.
    Deleted,
}

/// One object's change, before any selector.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: ChangeKind,
    pub object: Arc<Object>,
    /// The state before; None when it was created.
    pub previous: Option<Arc<Object>>,
}

/// All the changes of one kind at one revision.
#[derive(Debug)]
pub struct Batch {
    pub revision: i64,
    pub changes: Vec<Change>,
}

/// How much history to keep; what comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub batches_max: usize,
    /// Counts the objects that only the history still holds as well as those that the cache holds too, so it errs on the
    /// safe side.
    pub bytes_max: usize,
}

#[derive(Debug)]
pub struct History {
    limits: Limits,
    start: i64,
    batches: VecDeque<(usize, Arc<Batch>)>,
    bytes: usize,
}

impl History {
    pub fn new(limits: Limits, start: i64) -> History {
        History { limits, start, batches: VecDeque::new(), bytes: 0 }
    }

    /// Every change above this revision is known.
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn push(&mut self, batch: Batch) {
        debug_assert!(batch.revision > self.start, "changes come in order");
        let bytes = batch.changes.iter().map(bytes_of).sum();
        self.bytes += bytes;
        self.batches.push_back((bytes, Arc::new(batch)));
        while self.batches.len() > self.limits.batches_max || self.bytes > self.limits.bytes_max {
            let Some((bytes, batch)) = self.batches.pop_front() else { break };
            self.bytes -= bytes;
            self.start = batch.revision;
        }
    }

    /// At most `max` batches right after `cursor`; None when the window has moved on beyond it.
    pub fn after(&self, cursor: i64, max: usize) -> Option<Vec<Arc<Batch>>> {
        if cursor < self.start {
            return None;
        }
        let from = self.batches.partition_point(|(_, batch)| batch.revision <= cursor);
        Some(self.batches.range(from..).take(max).map(|(_, batch)| batch.clone()).collect())
    }
}

fn bytes_of(change: &Change) -> usize {
    size_of::<Change>()
        + change.object.size_bytes()
        + change.previous.as_ref().map_or(0, |previous| previous.size_bytes())
}
