//! Reads past events for a watcher that is behind, a bounded step at a time.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;

use super::Item;
use super::slot::Slot;
use crate::mvcc::history::History;
use crate::state::Error;
use crate::state::reader::Shared;

/// Bytes of events read in one step; a revision that exceeds it is read whole.
const STEP_BYTES: usize = 1 << 20;
/// Changes looked at in one step, so that a watcher of few keys gives the thread back now and then.
const STEP_CHANGES: usize = 20_000;

/// What a step found.
pub(super) enum Step {
    Events {
        items: VecDeque<Item>,
        /// The revision to go on from.
        next: i64,
    },
    /// The revision to start from is compacted.
    Compacted { compact_revision: i64 },
}

/// Reads what `slot` wants of the revisions from `first` on. Blocks on the disk.
pub(super) fn read(shared: &Shared, slot: &Slot, first: i64) -> Result<Step, Error> {
    // In this order: what was published before the database was taken is in it.
    let last = shared.hub().published();
    let generation = shared.generation()?;
    let columns = generation.columns()?;
    let mut history = History::new(columns.db, columns.rev, columns.data, first, last);
    // After the iterators were made: they now hold all that this compaction leaves.
    let compacted = generation.figures.compacted();
    if first < compacted {
        return Ok(Step::Compacted { compact_revision: compacted });
    }
    if first > last {
        return Ok(Step::Events { items: VecDeque::new(), next: first });
    }
    let mut items = VecDeque::new();
    let (mut looked_at, mut bytes) = (0, 0);
    let mut current = first;
    let mut events = Vec::new();
    loop {
        let Some(change) = history.advance()? else {
            finish(&mut items, current, &mut events);
            return Ok(Step::Events { items, next: last + 1 });
        };
        let (revision, kind) = (change.revision, change.kind);
        let key = (slot.wants(kind) && slot.span.contains(change.key)).then(|| Bytes::copy_from_slice(change.key));
        if revision != current {
            finish(&mut items, current, &mut events);
            current = revision;
            if looked_at >= STEP_CHANGES || bytes >= STEP_BYTES {
                return Ok(Step::Events { items, next: revision });
            }
        }
        looked_at += 1;
        if let Some(key) = key {
            let prev_kv = slot.prev_kv && revision > compacted;
            let event = history.event(revision, kind, &key, prev_kv)?;
            bytes += event.encoded_len();
            events.push(event);
        }
    }
}

/// Ends a revision.
fn finish(items: &mut VecDeque<Item>, revision: i64, events: &mut Vec<keelson_proto::mvccpb::Event>) {
    if !events.is_empty() {
        items.push_back(Item::Events { revision, events: std::mem::take(events) });
    }
}
