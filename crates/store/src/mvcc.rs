//! Versions of keys by revision: how they lie on disk, and how a range of them is read.
//!
//! Column family `data` holds every version of every key, newest first; `rev` maps each revision to the keys that it
//! changed. A value is stored once, in `data`.
//!
//! **Invariant:** a read at a revision at or above the compacted one sees the same whether or not superseded versions
//! have been removed from disk. Nothing in here decides what to write; that is [`crate::apply`].

pub(crate) mod compaction;
pub(crate) mod cursor;
pub(crate) mod encode;
pub(crate) mod hash;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod latest;
pub(crate) mod overlay;
pub(crate) mod range;
pub(crate) mod scan;
pub(crate) mod span;
pub(crate) mod sweep;
pub(crate) mod value;
