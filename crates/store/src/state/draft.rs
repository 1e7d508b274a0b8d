//! A state that is being made of another store's keys: written by an import alone, and opened by no member yet.
//!
//! ```text
//! meta "import"   the source's cluster id (8) ⧺ revision (8) ⧺ keys in all (8) ⧺ keys so far (8) ⧺ bytes so far (8)
//!                 ⧺ checksum so far (4) ⧺ changes at the revision so far (4) ⧺ the last key so far
//! ```
//!
//! Integers are big-endian. The row stays when the state is complete, and says where it came from.
//!
//! **Invariant**: keys and the row that counts them become durable together, since each batch has both and a flush takes all
//! column families at once. So whatever a crash leaves can be gone on with.
//!
//! What comes out is a store that was compacted at its revision: of each key that lives, the newest version, the tombstones of that
//! revision, and of the index by revision its changes alone, where a watch may still start.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bytes::Bytes;
use keelson_proto::mvccpb::KeyValue;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, IteratorMode, WriteBatch, WriteOptions};

use super::columns::{self, Columns};
use super::{Applied, Error, Options, flush, meta};
use crate::lease::{Lease, table};
use crate::mvcc::hash;
use crate::mvcc::key;
use crate::mvcc::sweep::Sweep;
use crate::mvcc::value::{Header, Kind, encode_rev};

const IMPORT: &[u8] = b"import";
/// What a key's lease becomes that ended at the source after the revision: as the source did, the store soon ends it.
const ENDED_TTL_SECONDS: i64 = 1;

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub cluster_id: u64,
    /// At which the source is read.
    pub revision: i64,
    /// Live keys of the source at the revision.
    pub keys_total: u64,
    pub keys: u64,
    /// Of keys and values.
    pub bytes: u64,
    /// Of the keys so far, as of a store that holds no others; see [`hash`].
    pub checksum: u32,
    /// Changes at the revision itself.
    changes: u32,
    /// Empty before the first.
    pub last: Bytes,
}

impl Progress {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.cluster_id.to_be_bytes().to_vec();
        out.extend_from_slice(&self.revision.to_be_bytes());
        for count in [self.keys_total, self.keys, self.bytes] {
            out.extend_from_slice(&count.to_be_bytes());
        }
        out.extend_from_slice(&self.checksum.to_be_bytes());
        out.extend_from_slice(&self.changes.to_be_bytes());
        out.extend_from_slice(&self.last);
        out
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        let mut rest = stored;
        let mut long = || {
            let (first, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_be_bytes(*first))
        };
        let (cluster_id, revision) = (long()?, long()?.cast_signed());
        let (keys_total, keys, bytes) = (long()?, long()?, long()?);
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let (changes, last) = rest.split_first_chunk::<4>()?;
        let (checksum, changes) = (u32::from_be_bytes(*checksum), u32::from_be_bytes(*changes));
        let last = Bytes::copy_from_slice(last);
        Some(Self { cluster_id, revision, keys_total, keys, bytes, checksum, changes, last })
    }
}

/// The state, open for writing. Everything here blocks on the disk.
pub(crate) struct Draft {
    db: DB,
    progress: Option<Progress>,
    flush_bytes: usize,
    unflushed_bytes: usize,
}

impl Draft {
    /// Opens the draft in `path`, or begins one. A crash costs `flush_bytes` at most.
    ///
    /// # Errors
    /// When the disk fails, another process writes the draft, or what is there is none.
    pub(crate) fn open(path: &Path, flush_bytes: usize) -> Result<Self, Error> {
        let db = columns::open(path, &Options::default(), &Arc::new(AtomicI64::new(0)))?;
        let columns = Columns::of(&db)?;
        meta::load(&columns)?;
        meta::mark_format(&db, &columns)?;
        let stored = db.get_cf(columns.meta, IMPORT).map_err(Error::rocks("reading the progress"))?;
        let decode =
            |stored: Vec<u8>| Progress::decode(&stored).ok_or(Error::Corrupt { what: "the import's progress" });
        let progress = stored.map(decode).transpose()?;
        Ok(Self { db, progress, flush_bytes, unflushed_bytes: 0 })
    }

    /// None before [`Draft::begin`].
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// Notes, durably, what is to be imported, and which keys the source deleted at the revision itself.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn begin(
        &mut self,
        cluster_id: u64,
        revision: i64,
        keys_total: u64,
        deleted: &[Bytes],
    ) -> Result<(), Error> {
        let mut progress = Progress { cluster_id, revision, keys_total, ..Progress::default() };
        let columns = Columns::of(&self.db)?;
        let mut batch = WriteBatch::default();
        let mut value = Vec::new();
        for user_key in deleted {
            let mut data_key = key::prefix(user_key);
            key::push_revision(&mut data_key, revision);
            Header::DELETED.encode(b"", &mut value);
            batch.put_cf(columns.data, data_key, &value);
            encode_rev(Kind::Delete, user_key, &mut value);
            batch.put_cf(columns.rev, key::rev(revision, progress.changes), &value);
            progress.changes += 1;
        }
        self.write(batch, progress)?;
        self.flush()
    }

    /// Adds pairs that follow those before in the order of keys.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn add(&mut self, pairs: &[KeyValue]) -> Result<(), Error> {
        let mut progress = self.progress.clone().unwrap_or_default();
        let columns = Columns::of(&self.db)?;
        let mut batch = WriteBatch::default();
        let (mut data_key, mut value) = (Vec::new(), Vec::new());
        for pair in pairs {
            let header = Header {
                tombstone: false,
                create_revision: pair.create_revision,
                version: pair.version,
                lease: pair.lease,
            };
            data_key.clear();
            key::push_prefix(&mut data_key, &pair.key);
            key::push_revision(&mut data_key, pair.mod_revision);
            header.encode(&pair.value, &mut value);
            batch.put_cf(columns.data, &data_key, &value);
            if pair.mod_revision == progress.revision {
                encode_rev(Kind::Put, &pair.key, &mut value);
                batch.put_cf(columns.rev, key::rev(progress.revision, progress.changes), &value);
                progress.changes += 1;
            }
            if pair.lease != 0 {
                batch.put_cf(columns.lease_keys, table::attached(pair.lease, &pair.key), b"");
            }
            progress.checksum = hash::append(progress.checksum, &pair.key, pair.mod_revision, header, &pair.value);
            progress.bytes += (pair.key.len() + pair.value.len()) as u64;
        }
        progress.keys += pairs.len() as u64;
        if let Some(last) = pairs.last() {
            progress.last = last.key.clone();
        }
        self.write(batch, progress)
    }

    /// Replaces the leases. A key may have one that is not among them, because it ended at the source after the revision:
    /// that one is about to end here, too. Gives the number of those.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn set_leases(&mut self, leases: &[Lease]) -> Result<u64, Error> {
        let columns = Columns::of(&self.db)?;
        let mut batch = WriteBatch::default();
        for row in self.db.iterator_cf(columns.lease, IteratorMode::Start) {
            let (id, _) = row.map_err(Error::rocks("reading leases"))?;
            batch.delete_cf(columns.lease, id);
        }
        for lease in leases {
            batch.put_cf(columns.lease, table::key(lease.id), table::value(lease));
        }
        let known: BTreeSet<i64> = leases.iter().map(|lease| lease.id).collect();
        let mut ended = 0;
        for id in self.lease_ids()?.into_iter().filter(|id| !known.contains(id)) {
            let lease = Lease { id, ttl_seconds: ENDED_TTL_SECONDS, remaining_seconds: 0 };
            batch.put_cf(columns.lease, table::key(id), table::value(&lease));
            ended += 1;
        }
        let progress = self.progress.clone().unwrap_or_default();
        self.write(batch, progress)?;
        Ok(ended)
    }

    /// The leases that keys have.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn lease_ids(&self) -> Result<Vec<i64>, Error> {
        let mut ids = Vec::new();
        let mut keys = self.db.raw_iterator_cf(Columns::of(&self.db)?.lease_keys);
        keys.seek_to_first();
        while let Some(id) = keys.key().and_then(|key| key.first_chunk::<8>()) {
            let id = u64::from_be_bytes(*id);
            ids.push(id.cast_signed());
            let Some(next) = id.checked_add(1) else { break };
            keys.seek(next.to_be_bytes());
        }
        keys.status().map_err(Error::rocks("reading the keys of leases"))?;
        Ok(ids)
    }

    /// Writes the complete state into `dir`, which must not exist. As long as the draft is there nobody else can open it.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn finish(&mut self, dir: &Path) -> Result<meta::Position, Error> {
        let progress = self.progress.clone().unwrap_or_default();
        let columns = Columns::of(&self.db)?;
        let mut batch = WriteBatch::default();
        let revision = progress.revision;
        meta::put_applied(&columns, &mut batch, &Applied::default(), true, revision, revision);
        batch.put_cf(columns.meta, meta::SWEPT, Sweep::done(revision).encode());
        self.write(batch, progress)?;
        self.flush()?;
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
            .map_err(Error::rocks("making a checkpoint"))?;
        let copy = columns::open_read_only(dir)?;
        meta::load(&Columns::of(&copy)?)
    }

    fn write(&mut self, mut batch: WriteBatch, progress: Progress) -> Result<(), Error> {
        let columns = Columns::of(&self.db)?;
        batch.put_cf(columns.meta, IMPORT, progress.encode());
        self.unflushed_bytes += batch.size_in_bytes();
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(Error::rocks("writing imported keys"))?;
        self.progress = Some(progress);
        if self.unflushed_bytes >= self.flush_bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        flush::flush(&Columns::of(&self.db)?)?;
        self.unflushed_bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let progress = Progress {
            cluster_id: 1,
            revision: 2,
            keys_total: 3,
            keys: 4,
            bytes: 5,
            checksum: 6,
            changes: 7,
            last: "key".into(),
        };
        let mut stored = Vec::new();
        for long in 1..=5_u64 {
            stored.extend_from_slice(&long.to_be_bytes());
        }
        stored.extend_from_slice(b"\0\0\0\x06\0\0\0\x07key");
        assert_eq!(progress.encode(), stored);
        assert_eq!(Progress::decode(&stored), Some(progress));
        assert_eq!(Progress::decode(&stored[..47]), None);
    }

    #[test]
    fn what_was_not_flushed_is_not_counted_after_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("draft");
        let pair = |key: &str| KeyValue {
            key: key.to_owned().into(),
            create_revision: 3,
            mod_revision: 5,
            version: 2,
            ..KeyValue::default()
        };
        let mut draft = Draft::open(&path, usize::MAX).expect("opens");
        draft.begin(7, 9, 3, &[]).expect("begins");
        draft.add(&[pair("a")]).expect("adds");
        draft.flush().expect("flushes");
        let kept = draft.progress().cloned();
        draft.add(&[pair("b"), pair("c")]).expect("adds");
        // A copy of the files is what a crash leaves.
        let copy = folder.path().join("copy");
        std::fs::create_dir(&copy).expect("makes");
        for file in std::fs::read_dir(&path).expect("lists") {
            let file = file.expect("lists");
            std::fs::copy(file.path(), copy.join(file.file_name())).expect("copies");
        }
        let again = Draft::open(&copy, usize::MAX).expect("opens");
        assert_eq!(again.progress().cloned(), kept);
        let rows = again.db.iterator_cf(Columns::of(&again.db).expect("columns").data, IteratorMode::Start);
        assert_eq!(rows.count(), 1);
    }

    #[test]
    fn nobody_else_opens_a_draft_that_was_finished_and_is_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("draft");
        let mut draft = Draft::open(&path, usize::MAX).expect("opens");
        draft.begin(7, 9, 0, &[]).expect("begins");
        draft.finish(&folder.path().join("copy")).expect("finishes");
        assert!(Draft::open(&path, usize::MAX).is_err(), "it is held");
        drop(draft);
        Draft::open(&path, usize::MAX).expect("opens");
    }
}
