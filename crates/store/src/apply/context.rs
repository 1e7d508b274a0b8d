//! What commands read and write while a slice of entries is applied.
//!
//! Reads see the database with the slice's own writes over it. Writes go to one RocksDB batch, and to the overlay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use keelson_proto::keelson::store::v1::{ClusterChanged, ClusterState, Reply, refusal};
use keelson_proto::mvccpb::KeyValue;
use parking_lot::MutexGuard;
use rocksdb::WriteBatch;

use super::Outcome;
use crate::auth;
use crate::lease::Lease;
use crate::lease::table::{self, LeaseChanges};
use crate::mvcc::cursor::Cursor;
use crate::mvcc::history::key_value;
use crate::mvcc::latest::Latest;
use crate::mvcc::overlay::{Overlay, Written};
use crate::mvcc::scan::Scan;
use crate::mvcc::span::Span;
use crate::mvcc::value::{Header, Kind, encode_rev};
use crate::mvcc::{key, range};
use crate::state::Error;
use crate::state::cluster::{self, Alarms};
use crate::state::columns::Columns;
use crate::state::generation::{Effects, Generation};
use crate::watch::hub::{Change, Previous, Revision};

/// A slice of entries being applied.
pub(super) struct Context<'a> {
    generation: &'a Generation,
    columns: Columns<'a>,
    batch: WriteBatch,
    overlay: Overlay,
    latest: MutexGuard<'a, Latest>,
    /// Made when the first key is looked up that is neither in the overlay nor among the latest.
    cursor: Option<Cursor<'a>>,
    leases: LeaseChanges,
    /// Keys that the slice attached to leases (true) or detached.
    lease_keys: BTreeMap<(i64, Bytes), bool>,
    /// The newest complete revision.
    revision: i64,
    compacted: i64,
    reclaim: Option<i64>,
    /// Changes of the revision being made.
    changes: Vec<Change>,
    /// Sub revision of the next change.
    sub: u32,
    revisions: Vec<Arc<Revision>>,
    prev_kv: bool,
    cluster: Arc<ClusterState>,
    cluster_changed: bool,
    alarms: Alarms,
    /// Who may do what.
    pub(super) auth: Arc<auth::Table>,
    auth_changed: bool,
    /// Term of the entry being applied.
    pub(super) term: u64,
    // Kept to reuse their memory.
    key_buffer: Vec<u8>,
    value_buffer: Vec<u8>,
}

impl<'a> Context<'a> {
    pub(super) fn new(generation: &'a Generation, prev_kv: bool) -> Result<Self, Error> {
        let columns = generation.columns()?;
        let cluster = generation.cluster();
        Ok(Self {
            generation,
            columns,
            alarms: cluster::alarms(&cluster),
            cluster,
            cluster_changed: false,
            batch: WriteBatch::default(),
            overlay: Overlay::default(),
            latest: generation.latest.lock(),
            cursor: None,
            leases: LeaseChanges::new(),
            lease_keys: BTreeMap::new(),
            revision: generation.figures.revision(),
            compacted: generation.figures.compacted(),
            reclaim: None,
            changes: Vec::new(),
            sub: 0,
            revisions: Vec::new(),
            prev_kv,
            auth: generation.auth.table(),
            auth_changed: false,
            term: 0,
            key_buffer: Vec::new(),
            value_buffer: Vec::new(),
        })
    }

    /// The newest revision that reads see: the one being made, as soon as it changes something.
    pub(super) fn revision(&self) -> i64 {
        self.revision + i64::from(!self.changes.is_empty())
    }

    pub(super) fn compacted(&self) -> i64 {
        self.compacted
    }

    pub(super) fn set_compacted(&mut self, revision: i64) {
        self.compacted = revision;
    }

    /// Has the space of what is compacted given back at once. Nothing that is replicated depends on it.
    pub(super) fn reclaim(&mut self) {
        self.reclaim = Some(self.compacted);
    }

    /// The revision alone, as etcd answers the operations of a transaction; whoever answers a client adds the rest.
    pub(super) fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: self.revision(), ..ResponseHeader::default() })
    }

    /// The alarms that are active.
    pub(super) fn alarms(&self) -> Alarms {
        self.alarms
    }

    pub(super) fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// Changes the state of the cluster, and answers with it.
    pub(super) fn change_cluster(&mut self, change: impl FnOnce(&mut ClusterState)) -> ClusterChanged {
        change(Arc::make_mut(&mut self.cluster));
        self.cluster_changed = true;
        self.alarms = cluster::alarms(&self.cluster);
        self.cluster_unchanged()
    }

    /// Answers with the state of the cluster as it is.
    pub(super) fn cluster_unchanged(&self) -> ClusterChanged {
        ClusterChanged { cluster: Some(self.cluster.as_ref().clone()), revision: self.revision() }
    }

    /// The live pair of `key`, with an empty value unless it is wanted.
    pub(super) fn get(&mut self, key: &Bytes, with_value: bool) -> Result<Option<KeyValue>, Error> {
        let revision = self.revision();
        if let Some(written) = self.overlay.find(key, revision) {
            let value = if with_value { written.value.clone() } else { Bytes::new() };
            let pair = || key_value(key.clone(), written.revision, written.header, value);
            return Ok((!written.header.tombstone).then(pair));
        }
        if !with_value && let Some((mod_revision, header)) = self.latest.get(key) {
            return Ok((!header.tombstone).then(|| key_value(key.clone(), mod_revision, header, Bytes::new())));
        }
        let (db, data) = (self.columns.db, self.columns.data);
        let cursor = self.cursor.get_or_insert_with(|| Cursor::points(db, data));
        let (mod_revision, header) = cursor.find(key, revision)?.unwrap_or((0, Header::DELETED));
        let value =
            if with_value && !header.tombstone { Bytes::copy_from_slice(cursor.value()?) } else { Bytes::new() };
        self.latest.note(key, mod_revision, header);
        Ok((!header.tombstone).then(|| key_value(key.clone(), mod_revision, header, value)))
    }

    /// Live keys of `span` at `revision`.
    pub(super) fn scan(&self, span: Span, revision: i64) -> Result<Scan<'_>, Error> {
        Scan::new(self.columns.db, self.columns.data, Some(&self.overlay), span, revision, true)
    }

    /// Answers a range of a transaction, at the newest revision or at the one asked for.
    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let revision = if request.revision > 0 { request.revision } else { self.revision() };
        let scan = self.scan(Span::new(&request.key, &request.range_end), revision)?;
        range::execute(scan, request, self.revision())
    }

    /// Writes `key`. `before` is its live pair, of which the value is needed only when [`Context::wants_prev_kv`].
    pub(super) fn put(&mut self, key: Bytes, value: Bytes, lease: i64, before: Option<KeyValue>) {
        let revision = self.revision + 1;
        let header = match &before {
            Some(before) => {
                Header { tombstone: false, create_revision: before.create_revision, version: before.version + 1, lease }
            }
            None => Header { tombstone: false, create_revision: revision, version: 1, lease },
        };
        let attached = before.as_ref().map_or(0, |before| before.lease);
        if attached != lease {
            self.detach(attached, &key);
            self.attach(lease, &key);
        }
        let sub = self.record(Kind::Put, &key, header, value.clone());
        let pair = key_value(key, revision, header, value);
        self.changes.push(Change::new(Kind::Put, sub, pair, self.previous(before)));
    }

    /// Writes a tombstone over `before`, the live pair of its key.
    ///
    /// The pair may be of the same revision: etcd lets one nested transaction delete what another, before it, has put.
    /// Only the deletion is left of that.
    pub(super) fn delete(&mut self, before: KeyValue) {
        let (key, revision) = (before.key.clone(), self.revision + 1);
        if before.mod_revision == revision {
            self.forget(&key);
        }
        self.detach(before.lease, &key);
        let sub = self.record(Kind::Delete, &key, Header::DELETED, Bytes::new());
        let pair = KeyValue { key, mod_revision: revision, ..KeyValue::default() };
        self.changes.push(Change::new(Kind::Delete, sub, pair, self.previous(Some(before))));
    }

    /// Deletes all live keys of `span`; returns what was there, with values when they are wanted.
    pub(super) fn delete_span(&mut self, span: Span, with_values: bool) -> Result<Vec<KeyValue>, Error> {
        let with_values = with_values || self.prev_kv;
        let mut found = Vec::new();
        if let Span::One(key) = &span {
            found.extend(self.get(key, with_values)?);
        } else {
            let mut scan = self.scan(span, self.revision())?;
            while scan.advance()? {
                found.push(scan.key_value(with_values)?);
            }
        }
        for pair in &found {
            self.delete(pair.clone());
        }
        Ok(found)
    }

    /// Whether values that are replaced should be read, because a watcher asks for them.
    pub(super) fn wants_prev_kv(&self) -> bool {
        self.prev_kv
    }

    /// Ends the revision being made, if the command changed anything.
    pub(super) fn seal(&mut self) {
        if !self.changes.is_empty() {
            self.revision += 1;
            self.sub = 0;
            let changes = std::mem::take(&mut self.changes);
            self.revisions.push(Arc::new(Revision::new(self.revision, changes)));
        }
    }

    pub(super) fn lease(&self, id: i64) -> Option<Lease> {
        match self.leases.get(&id) {
            Some(changed) => *changed,
            None => self.generation.leases.read().get(id),
        }
    }

    pub(super) fn set_lease(&mut self, lease: Lease) {
        self.batch.put_cf(self.columns.lease, table::key(lease.id), table::value(&lease));
        self.leases.insert(lease.id, Some(lease));
    }

    pub(super) fn remove_lease(&mut self, id: i64) {
        self.batch.delete_cf(self.columns.lease, table::key(id));
        self.leases.insert(id, None);
    }

    /// Keys attached to a lease, in order.
    pub(super) fn lease_keys(&self, id: i64) -> Result<Vec<Bytes>, Error> {
        let mut keys: BTreeSet<Bytes> = table::keys(&self.columns, id)?.into_iter().collect();
        for ((_, key), attached) in self.lease_keys.range((id, Bytes::new())..).take_while(|((of, _), _)| *of == id) {
            if *attached {
                keys.insert(key.clone())
            } else {
                keys.remove(key)
            };
        }
        Ok(keys.into_iter().collect())
    }

    /// Whether a key from `from` up to `to`, or up to the last one without it, is attached to a lease.
    pub(super) fn has_lease_key(&self, id: i64, from: &[u8], to: Option<&[u8]>) -> Result<bool, Error> {
        let first = (id, Bytes::copy_from_slice(from));
        let within = |key: &[u8]| to.is_none_or(|to| key < to);
        let mut changed = self.lease_keys.range(first..).take_while(|((of, key), _)| *of == id && within(key));
        if changed.any(|(_, attached)| *attached) {
            return Ok(true);
        }
        let detached = |key: &[u8]| self.lease_keys.contains_key(&(id, Bytes::copy_from_slice(key)));
        table::has_key(&self.columns, id, from, to, detached)
    }

    /// Changes who may do what; a refused change changes nothing.
    pub(super) fn change_auth<E>(
        &mut self,
        change: impl FnOnce(&mut auth::Table) -> Result<Vec<auth::Change>, E>,
    ) -> Result<(), E> {
        for (key, value) in change(Arc::make_mut(&mut self.auth))? {
            self.auth_changed = true;
            match value {
                Some(value) => self.batch.put_cf(self.columns.auth, key, value),
                None => self.batch.delete_cf(self.columns.auth, key),
            }
        }
        Ok(())
    }

    /// Whether a range at `revision` can be read; 0 and below mean the newest.
    pub(super) fn check_revision(&self, revision: i64) -> Result<(), refusal::Reason> {
        check_revision(revision, self.revision(), self.compacted)
    }

    pub(super) fn finish(self, replies: Vec<Vec<Reply>>, membership_changed: bool) -> Outcome {
        let effects = Effects {
            batch: self.batch,
            revision: self.revision,
            compacted: self.compacted,
            membership_changed,
            leases: self.leases,
            written: self.overlay,
            cluster: self.cluster_changed.then_some(self.cluster),
            auth: self.auth_changed.then_some(self.auth),
        };
        Outcome { replies, effects, revisions: self.revisions, revision: self.revision, reclaim: self.reclaim }
    }

    fn previous(&self, before: Option<KeyValue>) -> Previous {
        match before {
            None => Previous::None,
            Some(before) if self.prev_kv => Previous::Pair(before),
            Some(_) => Previous::NotRead,
        }
    }

    /// Takes a change of the revision being made out of its events and of history.
    fn forget(&mut self, key: &Bytes) {
        if let Some(place) = self.changes.iter().position(|change| change.pair.key == key) {
            let forgotten = self.changes.remove(place);
            self.batch.delete_cf(self.columns.rev, key::rev(self.revision + 1, forgotten.sub));
        }
    }

    /// Adds a version to the batch and to the overlay; returns its sub revision.
    fn record(&mut self, kind: Kind, key: &Bytes, header: Header, value: Bytes) -> u32 {
        let (revision, sub) = (self.revision + 1, self.sub);
        self.key_buffer.clear();
        key::push_prefix(&mut self.key_buffer, key);
        key::push_revision(&mut self.key_buffer, revision);
        header.encode(&value, &mut self.value_buffer);
        self.batch.put_cf(self.columns.data, &self.key_buffer, &self.value_buffer);
        encode_rev(kind, key, &mut self.value_buffer);
        self.batch.put_cf(self.columns.rev, key::rev(revision, sub), &self.value_buffer);
        self.sub += 1;
        self.overlay.insert(key.clone(), Written { revision, header, value });
        sub
    }

    fn attach(&mut self, lease: i64, key: &Bytes) {
        if lease != 0 {
            self.batch.put_cf(self.columns.lease_keys, table::attached(lease, key), b"");
            self.lease_keys.insert((lease, key.clone()), true);
        }
    }

    fn detach(&mut self, lease: i64, key: &Bytes) {
        if lease != 0 {
            self.batch.delete_cf(self.columns.lease_keys, table::attached(lease, key));
            self.lease_keys.insert((lease, key.clone()), false);
        }
    }
}

/// Whether `revision` can be read when the newest and the compacted one are as given; 0 and below mean the newest.
pub(super) fn check_revision(revision: i64, newest: i64, compacted: i64) -> Result<(), refusal::Reason> {
    if revision > newest {
        Err(refusal::Reason::FutureRevision)
    } else if revision > 0 && revision < compacted {
        Err(refusal::Reason::Compacted)
    } else {
        Ok(())
    }
}
