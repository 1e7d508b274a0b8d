//! Walks the versions of column family `data`.
//!
//! A cursor pins what the database held when it was made, compactions included: files that an iterator reads stay until
//! it is dropped. A RocksDB *snapshot* would not do, since compaction filters do not respect it.

use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions};

use super::key;
use super::span::Span;
use super::value::Header;
use crate::state::Error;

/// Steps taken to the next version before seeking instead. A seek costs about as much as so many steps.
const STEPS_BEFORE_SEEK: usize = 8;

/// A position among versions.
pub(crate) struct Cursor<'a> {
    iterator: DBRawIterator<'a>,
    /// Prefix of the key whose versions are being looked at; empty before the first.
    prefix: Vec<u8>,
    /// Where a seek goes; kept to reuse its memory.
    target: Vec<u8>,
    started: bool,
}

impl<'a> Cursor<'a> {
    /// A cursor for [`Cursor::find`] on any key. Filters tell which files and memtables need not be looked into, so it does
    /// not see what lies behind the versions of a key.
    pub(crate) fn points(db: &'a DB, data: &ColumnFamily) -> Self {
        Self::new(db.raw_iterator_cf_opt(data, ReadOptions::default()), Vec::new())
    }

    /// A cursor for [`Cursor::next_key`] over the keys of `span`.
    pub(crate) fn span(db: &'a DB, data: &ColumnFamily, span: &Span, fill_cache: bool) -> Self {
        let mut options = ReadOptions::default();
        options.fill_cache(fill_cache);
        let start = key::prefix(span.start());
        let mut target = start.clone();
        key::push_newest(&mut target);
        // Filters know single keys.
        options.set_total_order_seek(!matches!(span, Span::One(_)));
        match span {
            Span::One(_) => options.set_iterate_upper_bound(key::after(start)),
            // An upper bound below the start would be an error to RocksDB.
            Span::Between(_, end) => options.set_iterate_upper_bound(key::prefix(end).max(start)),
            Span::From(_) => {}
        }
        Self::new(db.raw_iterator_cf_opt(data, options), target)
    }

    fn new(iterator: DBRawIterator<'a>, target: Vec<u8>) -> Self {
        Self { iterator, prefix: Vec::new(), target, started: false }
    }

    /// Goes to the newest version of `user_key` at or below `revision`, a tombstone or not. None when there is none.
    pub(crate) fn find(&mut self, user_key: &[u8], revision: i64) -> Result<Option<(i64, Header)>, Error> {
        self.started = true;
        self.prefix.clear();
        key::push_prefix(&mut self.prefix, user_key);
        self.seek_in_prefix(revision);
        self.current_in_prefix()
    }

    /// Goes to the next older version of the key that the cursor is on.
    pub(crate) fn older(&mut self) -> Result<Option<(i64, Header)>, Error> {
        self.iterator.next();
        self.current_in_prefix()
    }

    /// Goes to the next key that has a version at or below `revision`, and to the newest such version, a tombstone or
    /// not. None at the end.
    pub(crate) fn next_key(&mut self, revision: i64) -> Result<Option<(i64, Header)>, Error> {
        if self.started {
            self.leave_key()?;
        } else {
            self.started = true;
            self.iterator.seek(&self.target);
        }
        loop {
            let Some(found) = self.iterator.key() else {
                return self.ended().map(|()| None);
            };
            let (prefix, _) = key::split(found)?;
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
            if let Some(version) = self.at_or_below(revision)? {
                return Ok(Some(version));
            }
        }
    }

    /// Makes [`Cursor::next_key`] go on with `user_key`, among what the cursor has pinned.
    pub(crate) fn restart(&mut self, user_key: &[u8]) {
        self.started = false;
        self.target.clear();
        key::push_prefix(&mut self.target, user_key);
        key::push_newest(&mut self.target);
    }

    /// Encoded prefix of the key that the cursor is on.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Bytes of the version that the cursor is on.
    pub(crate) fn value(&self) -> Result<&[u8], Error> {
        let stored = self.iterator.value().ok_or(Error::Corrupt { what: "the position of a cursor" })?;
        Header::decode(stored).map(|(_, value)| value)
    }

    fn at_or_below(&mut self, revision: i64) -> Result<Option<(i64, Header)>, Error> {
        for _ in 0..STEPS_BEFORE_SEEK {
            match self.current_in_prefix()? {
                Some((found, header)) if found <= revision => return Ok(Some((found, header))),
                Some(_) => self.iterator.next(),
                None => return Ok(None),
            }
        }
        self.seek_in_prefix(revision);
        self.current_in_prefix()
    }

    /// Steps past the remaining versions of the current key.
    fn leave_key(&mut self) -> Result<(), Error> {
        for _ in 0..STEPS_BEFORE_SEEK {
            if !self.iterator.key().is_some_and(|found| found.starts_with(&self.prefix)) {
                return self.ended();
            }
            self.iterator.next();
        }
        self.target.clear();
        self.target.extend_from_slice(&self.prefix);
        let target = key::after(std::mem::take(&mut self.target));
        self.iterator.seek(&target);
        self.target = target;
        self.ended()
    }

    fn seek_in_prefix(&mut self, revision: i64) {
        self.target.clear();
        self.target.extend_from_slice(&self.prefix);
        key::push_revision(&mut self.target, revision);
        self.iterator.seek(&self.target);
    }

    fn current_in_prefix(&self) -> Result<Option<(i64, Header)>, Error> {
        let Some((found, stored)) = self.iterator.item() else {
            return self.ended().map(|()| None);
        };
        if !found.starts_with(&self.prefix) {
            return Ok(None);
        }
        let (_, revision) = key::split(found)?;
        let (header, _) = Header::decode(stored)?;
        Ok(Some((revision, header)))
    }

    /// An iterator that is not valid is at its end or has failed.
    fn ended(&self) -> Result<(), Error> {
        self.iterator.status().map_err(Error::rocks("reading versions"))
    }
}
