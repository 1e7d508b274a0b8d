//! The events of past revisions, read from `rev` and `data`.

use bytes::Bytes;
use keelson_proto::mvccpb::{Event, KeyValue, event};
use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions};

use super::cursor::Cursor;
use super::key;
use super::value::{Header, Kind, decode_rev};
use crate::state::Error;

/// Walks changes in the order in which they were made.
pub(crate) struct History<'a> {
    changes: DBRawIterator<'a>,
    versions: Cursor<'a>,
    started: bool,
}

/// One change to one key.
pub(crate) struct Change<'a> {
    pub revision: i64,
    pub kind: Kind,
    pub key: &'a [u8],
}

impl<'a> History<'a> {
    /// Changes of the revisions from `first` to `last`, both included.
    pub(crate) fn new(db: &'a DB, rev: &ColumnFamily, data: &ColumnFamily, first: i64, last: i64) -> Self {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(key::rev(last.max(first).saturating_add(1), 0));
        let mut changes = db.raw_iterator_cf_opt(rev, options);
        changes.seek(key::rev(first, 0));
        Self { changes, versions: Cursor::points(db, data), started: false }
    }

    /// Goes to the next change; None at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<Change<'_>>, Error> {
        if std::mem::replace(&mut self.started, true) {
            self.changes.next();
        }
        let Some((found, stored)) = self.changes.item() else {
            return self.changes.status().map(|()| None).map_err(Error::rocks("reading history"));
        };
        let (revision, _) = key::split_rev(found)?;
        let (kind, key) = decode_rev(stored)?;
        Ok(Some(Change { revision, kind, key }))
    }

    /// The event of a change; with the pair that it replaced when `prev_kv`.
    pub(crate) fn event(&mut self, revision: i64, kind: Kind, user_key: &Bytes, prev_kv: bool) -> Result<Event, Error> {
        let mut event = Event::default();
        match kind {
            Kind::Delete => {
                event.set_type(event::EventType::Delete);
                event.kv = Some(KeyValue { key: user_key.clone(), mod_revision: revision, ..KeyValue::default() });
            }
            Kind::Put => {
                event.set_type(event::EventType::Put);
                event.kv = self.pair(user_key, revision)?.filter(|pair| pair.mod_revision == revision);
                if event.kv.is_none() {
                    return Err(Error::Corrupt { what: "a version that column family rev names" });
                }
            }
        }
        if prev_kv {
            event.prev_kv = self.pair(user_key, revision - 1)?;
        }
        Ok(event)
    }

    /// The live pair at `revision`.
    fn pair(&mut self, user_key: &Bytes, revision: i64) -> Result<Option<KeyValue>, Error> {
        let Some((mod_revision, header)) = self.versions.find(user_key, revision)? else {
            return Ok(None);
        };
        if header.tombstone {
            return Ok(None);
        }
        let value = Bytes::copy_from_slice(self.versions.value()?);
        Ok(Some(key_value(user_key.clone(), mod_revision, header, value)))
    }
}

/// Puts etcd's message together.
pub(crate) fn key_value(key: Bytes, mod_revision: i64, header: Header, value: Bytes) -> KeyValue {
    KeyValue {
        key,
        create_revision: header.create_revision,
        mod_revision,
        version: header.version,
        value,
        lease: header.lease,
    }
}
