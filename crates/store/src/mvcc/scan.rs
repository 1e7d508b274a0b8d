//! The live keys of a span at one revision, in order, from the database and from what a batch adds to it.
//!
//! A scan holds one position and no results, so that its memory does not grow with what it passes.

use bytes::Bytes;
use keelson_proto::mvccpb::KeyValue;
use rocksdb::{ColumnFamily, DB};

use super::cursor::Cursor;
use super::key;
use super::overlay::{Overlay, Written};
use super::span::Span;
use super::value::Header;
use crate::state::Error;

/// Walks live keys. Call [`Scan::advance`] before each look.
pub(crate) struct Scan<'a> {
    cursor: Cursor<'a>,
    /// The database's next candidate, not yet passed.
    stored: Option<(i64, Header)>,
    stored_key: Vec<u8>,
    overlay: Option<&'a Overlay>,
    span: Span,
    revision: i64,
    /// What the scan is on.
    found: Option<Found<'a>>,
}

enum Found<'a> {
    Stored(i64, Header),
    Written(&'a Bytes, &'a Written),
}

impl<'a> Scan<'a> {
    /// Reads `span` as it is at `revision`.
    pub(crate) fn new(
        db: &'a DB,
        data: &ColumnFamily,
        overlay: Option<&'a Overlay>,
        span: Span,
        revision: i64,
        fill_cache: bool,
    ) -> Result<Self, Error> {
        let cursor = Cursor::span(db, data, &span, fill_cache);
        let mut scan = Self { cursor, stored: None, stored_key: Vec::new(), overlay, span, revision, found: None };
        scan.pull()?;
        Ok(scan)
    }

    /// Goes to the next live key; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            let written = self.next_written();
            match self.found.take() {
                // The scan stood on the database's candidate, so that it is passed now.
                Some(Found::Stored(..)) => self.pull()?,
                Some(Found::Written(key, _)) if self.stored.is_some() && self.stored_key == **key => self.pull()?,
                Some(Found::Written(..)) | None => {}
            }
            let (found, tombstone) = match (self.stored, written) {
                (None, None) => return Ok(false),
                (Some((revision, header)), None) => (Found::Stored(revision, header), header.tombstone),
                (Some((revision, header)), Some((key, _))) if self.stored_key.as_slice() < key.as_ref() => {
                    (Found::Stored(revision, header), header.tombstone)
                }
                // The batch's version is newer than any stored one of the same key.
                (_, Some((key, written))) => (Found::Written(key, written), written.header.tombstone),
            };
            self.found = Some(found);
            if !tombstone {
                return Ok(true);
            }
        }
    }

    /// Makes the next [`Scan::advance`] go to `key`, or to the first live key after it. For scans without an overlay.
    pub(crate) fn restart(&mut self, key: &[u8]) -> Result<(), Error> {
        debug_assert!(self.overlay.is_none(), "an overlay is walked from its start");
        (self.found, self.stored) = (None, None);
        self.cursor.restart(key);
        self.pull()
    }

    /// The key that the scan is on.
    pub(crate) fn key(&self) -> &[u8] {
        match self.found {
            Some(Found::Written(key, _)) => key,
            Some(Found::Stored(..)) | None => &self.stored_key,
        }
    }

    /// The key, as shared bytes.
    pub(crate) fn key_bytes(&self) -> Bytes {
        match self.found {
            Some(Found::Written(key, _)) => key.clone(),
            Some(Found::Stored(..)) | None => Bytes::copy_from_slice(&self.stored_key),
        }
    }

    /// The revision that wrote the version, and its header.
    pub(crate) fn version(&self) -> (i64, Header) {
        match self.found {
            Some(Found::Stored(revision, header)) => (revision, header),
            Some(Found::Written(_, written)) => (written.revision, written.header),
            None => (0, Header::default()),
        }
    }

    /// The value that the scan is on.
    pub(crate) fn value(&self) -> Result<&[u8], Error> {
        match &self.found {
            Some(Found::Written(_, written)) => Ok(&written.value),
            Some(Found::Stored(..)) | None => self.cursor.value(),
        }
    }

    /// What the scan is on as etcd's message, with an empty value unless it is wanted.
    pub(crate) fn key_value(&self, with_value: bool) -> Result<KeyValue, Error> {
        let (mod_revision, header) = self.version();
        let value = match (&self.found, with_value) {
            (_, false) => Bytes::new(),
            (Some(Found::Written(_, written)), true) => written.value.clone(),
            (_, true) => Bytes::copy_from_slice(self.cursor.value()?),
        };
        Ok(KeyValue {
            key: self.key_bytes(),
            create_revision: header.create_revision,
            mod_revision,
            version: header.version,
            value,
            lease: header.lease,
        })
    }

    /// The overlay's first key after the scan's place.
    fn next_written(&self) -> Option<(&'a Bytes, &'a Written)> {
        let after = match &self.found {
            Some(Found::Written(key, _)) => Some(key.as_ref()),
            Some(Found::Stored(..)) => Some(self.stored_key.as_slice()),
            None => None,
        };
        self.overlay?.next(&self.span, after, self.revision)
    }

    fn pull(&mut self) -> Result<(), Error> {
        // One key has no next one; looking for it would pass its older versions.
        if self.stored.take().is_some() && matches!(self.span, Span::One(_)) {
            return Ok(());
        }
        self.stored = self.cursor.next_key(self.revision)?;
        if self.stored.is_some() {
            key::user_key(self.cursor.prefix(), &mut self.stored_key)?;
        }
        Ok(())
    }
}
