//! Versions written by the commands being applied, which are in no database yet.
//!
//! A slice of entries is one RocksDB batch; its later commands must see what its earlier ones wrote.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::span::Span;
use super::value::Header;

/// A version that is still in the batch.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub revision: i64,
    pub header: Header,
    pub value: Bytes,
}

/// All versions of a batch, oldest first under each key.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    keys: BTreeMap<Bytes, Vec<Written>>,
}

impl Overlay {
    /// `written` must be newer than all versions of the key.
    pub(crate) fn insert(&mut self, key: Bytes, written: Written) {
        self.keys.entry(key).or_default().push(written);
    }

    /// The newest version at or below `revision`.
    pub(crate) fn find(&self, key: &[u8], revision: i64) -> Option<&Written> {
        newest(self.keys.get(key)?, revision)
    }

    /// The newest version of each key.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (&Bytes, &Written)> {
        self.keys.iter().filter_map(|(key, versions)| Some((key, versions.last()?)))
    }

    /// The first key of `span` after `after` (from the span's start when None) with a version at or below `revision`.
    pub(crate) fn next(&self, span: &Span, after: Option<&[u8]>, revision: i64) -> Option<(&Bytes, &Written)> {
        if self.keys.is_empty() || span.is_empty() {
            return None;
        }
        let lower = after.map_or(Bound::Included(span.start().as_ref()), Bound::Excluded);
        self.keys
            .range::<[u8], _>((lower, Bound::Unbounded))
            .take_while(|(key, _)| span.contains(key))
            .find_map(|(key, versions)| Some((key, newest(versions, revision)?)))
    }
}

fn newest(versions: &[Written], revision: i64) -> Option<&Written> {
    versions.iter().rev().find(|written| written.revision <= revision)
}
