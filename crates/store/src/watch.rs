//! Watching keys: the events of each revision, in order, without gaps, each revision whole.
//!
//! A watcher is *live* or *behind*. Live, the [hub](hub) puts matching events into its bounded buffer as they are
//! published. When the buffer is full, or it starts in the past, it is behind: it reads history by revision until
//! nothing is left, and joins again. A slow watcher so costs itself time and nobody memory.
//!
//! ```text
//!            start now or later                 buffer full, content replaced
//!     ───────────────────────────▶ live ──────────────────────────────────────▶ behind ──▶ compacted
//!     start in the past ─────────────────────────────────────────────────────▶    │
//!                                   ▲────── next revision to read > published ────┘
//! ```

mod catch_up;
pub(crate) mod hub;
mod slot;
mod watcher;

use bytes::Bytes;
use keelson_proto::mvccpb::Event;

pub(crate) use hub::encode;
pub(crate) use watcher::Found;
pub use watcher::Watcher;

/// What to watch.
#[derive(Clone, Debug)]
pub struct Options {
    pub key: Bytes,
    /// As in a range request: empty for the one key, `"\0"` for everything from `key` on.
    pub range_end: Bytes,
    /// The first revision whose events are wanted, in the past or in the future; 0 or less = the one after now.
    pub start_revision: i64,
    /// Give the pair that each event replaced, unless it has been compacted.
    pub prev_kv: bool,
    /// Leave out puts.
    pub no_put: bool,
    /// Leave out deletions.
    pub no_delete: bool,
    /// Bytes of events kept while nobody calls [`Watcher::next`]; beyond, they are read from history later. A single
    /// revision is kept whatever its size.
    pub max_buffered_bytes: usize,
}

/// What a watcher hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// All matching events of one revision.
    Events { revision: i64, events: Vec<Event> },
    /// Everything up to and including `revision` has been handed out.
    Progress { revision: i64 },
    /// Revisions that were still to come are compacted. Nothing follows; list again, at `compact_revision` or later.
    Compacted { compact_revision: i64 },
}
