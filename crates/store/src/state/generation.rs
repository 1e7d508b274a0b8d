//! One database of the state, from its opening to its closing, with what is kept in memory about it.
//!
//! Installing a checkpoint replaces the whole generation, so that figures and files always belong together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use keelson_proto::keelson::store::v1::ClusterState;
use parking_lot::{Mutex, RwLock};
use rocksdb::{DB, WriteBatch, WriteOptions};

use super::cluster::{self, Alarms};
use super::columns::{self, Columns};
use super::flush::{Flushing, settle};
use super::meta::{self, Position};
use super::{Applied, Error, Options};
use crate::auth;
use crate::lease::table::{LeaseChanges, Table};
use crate::mvcc::latest::Latest;
use crate::mvcc::overlay::Overlay;
use crate::mvcc::sweep::Sweep;

const TABLE_BYTES: &str = "rocksdb.total-sst-files-size";
/// Without files that are only kept for reads under way.
const LIVE_TABLE_BYTES: &str = "rocksdb.live-sst-files-size";
const MEMTABLE_BYTES: &str = "rocksdb.size-all-mem-tables";

/// Numbers that readers ask for at any time, the last ones known once the database is closed.
#[derive(Debug)]
pub(crate) struct Figures {
    revision: AtomicI64,
    compacted: AtomicI64,
    flushed_index: AtomicU64,
    alarms: AtomicU8,
}

impl Figures {
    pub(crate) fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub(crate) fn flushed_index(&self) -> u64 {
        self.flushed_index.load(Ordering::Acquire)
    }

    pub(crate) fn alarms(&self) -> Alarms {
        Alarms::from_bits(self.alarms.load(Ordering::Acquire))
    }

    pub(super) fn advance_flushed(&self, index: u64) {
        self.flushed_index.fetch_max(index, Ordering::AcqRel);
    }
}

/// An open database.
pub(crate) struct Generation {
    // Dropped in this order: the database is closed before its folder is removed.
    db: DB,
    folder: Folder,
    pub(crate) figures: Arc<Figures>,
    /// The compacted revision that is durable; the compaction filter's floor.
    floor: Arc<AtomicI64>,
    applied: RwLock<Applied>,
    pub(crate) leases: RwLock<Table>,
    cluster: RwLock<Arc<ClusterState>>,
    pub(crate) auth: Arc<auth::Gate>,
    pub(super) writer: Mutex<Writer>,
    /// The applying thread's, and only its.
    pub(crate) latest: Mutex<Latest>,
}

/// What only the applying thread needs.
pub(super) struct Writer {
    pub(super) sweep: Sweep,
    pub(super) bytes_since_flush: u64,
    pub(super) index_at_flush: u64,
    /// A flush in the background, not yet known to be over.
    pub(super) flushing: Option<Flushing>,
}

/// What applying a slice of entries changes.
pub(crate) struct Effects {
    pub batch: WriteBatch,
    pub revision: i64,
    pub compacted: i64,
    pub membership_changed: bool,
    pub leases: LeaseChanges,
    /// What the batch writes to keys.
    pub written: Overlay,
    /// None when it did not change.
    pub cluster: Option<Arc<ClusterState>>,
    /// Who may do what, when it changed.
    pub auth: Option<Arc<auth::Table>>,
}

impl Generation {
    /// Opens the database in `path`, or creates it there.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        let floor = Arc::new(AtomicI64::new(0));
        let db = columns::open(path, options, &floor)?;
        let (position, table, cluster, users) = {
            let columns = Columns::of(&db)?;
            let position = meta::load(&columns)?;
            meta::mark_format(&db, &columns)?;
            (position, Table::load(&columns)?, cluster::load(&columns)?, auth::Table::load(&columns)?)
        };
        settle(&db)?;
        let Position { applied, revision, compacted, sweep } = position;
        // All that was found on disk is durable.
        floor.store(compacted, Ordering::Release);
        let figures = Figures {
            revision: revision.into(),
            compacted: compacted.into(),
            flushed_index: applied.index.into(),
            alarms: cluster::alarms(&cluster).bits().into(),
        };
        Ok(Self {
            db,
            folder: Folder { path: path.to_owned(), doomed: AtomicBool::new(false) },
            figures: Arc::new(figures),
            floor,
            writer: Mutex::new(Writer { sweep, bytes_since_flush: 0, index_at_flush: applied.index, flushing: None }),
            applied: RwLock::new(applied),
            leases: RwLock::new(table),
            latest: Mutex::new(Latest::new(options.latest_bytes)),
            cluster: RwLock::new(Arc::new(cluster)),
            auth: Arc::new(auth::Gate::new(users)),
        })
    }

    /// Goes on with the gate of the generation that this one replaces: who asks it has it for ever.
    pub(crate) fn succeed(self, gate: &Arc<auth::Gate>) -> Self {
        gate.set(self.auth.table());
        Self { auth: Arc::clone(gate), ..self }
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }

    pub(crate) fn columns(&self) -> Result<Columns<'_>, Error> {
        Columns::of(&self.db)
    }

    pub(crate) fn applied(&self) -> Applied {
        self.applied.read().clone()
    }

    /// Who the members are, and what is wrong.
    pub(crate) fn cluster(&self) -> Arc<ClusterState> {
        self.cluster.read().clone()
    }

    pub(crate) fn flushed_index(&self) -> u64 {
        self.figures.flushed_index()
    }

    /// The compacted revision up to which versions may be gone from disk.
    pub(crate) fn floor(&self) -> i64 {
        self.floor.load(Ordering::Acquire)
    }

    /// Writes what a slice of entries changes, in one batch, and then shows it.
    pub(crate) fn commit(&self, effects: Effects, applied: Applied, options: &Options) -> Result<(), Error> {
        let Effects { mut batch, revision, compacted, membership_changed, leases, written, cluster, auth } = effects;
        let columns = self.columns()?;
        let mut writer = self.writer.lock();
        meta::put_applied(&columns, &mut batch, &applied, membership_changed, revision, compacted);
        if let Some(cluster) = &cluster {
            cluster::put(&columns, &mut batch, cluster);
        }
        let mut sweep = writer.sweep;
        if sweep.pending(self.floor()) {
            sweep.step(&columns, self.floor(), &mut batch)?;
        }
        let bytes = batch.size_in_bytes() as u64;
        self.db.write_opt(batch, &without_log()).map_err(Error::rocks("writing applied entries"))?;
        writer.sweep = sweep;
        writer.bytes_since_flush += bytes;
        let index = applied.index;
        {
            let mut latest = self.latest.lock();
            for (key, newest) in written.newest() {
                latest.note(key, newest.revision, newest.header);
            }
        }
        self.leases.write().change(leases);
        if let Some(auth) = auth {
            self.auth.set(auth);
        }
        *self.applied.write() = applied;
        if let Some(cluster) = cluster {
            self.figures.alarms.store(cluster::alarms(&cluster).bits(), Ordering::Release);
            *self.cluster.write() = cluster;
        }
        self.figures.compacted.store(compacted, Ordering::Release);
        self.figures.revision.store(revision, Ordering::Release);
        self.flush_by_size(&mut writer, &columns, Flushing { index, compacted }, options)
    }

    /// Notes that a flush is over.
    pub(super) fn flushed(&self, flushing: Flushing) {
        self.figures.advance_flushed(flushing.index);
        self.floor.fetch_max(flushing.compacted, Ordering::AcqRel);
    }

    /// Bytes of what is not in files yet.
    pub(crate) fn memtable_bytes(&self) -> Result<u64, Error> {
        self.sum(MEMTABLE_BYTES)
    }

    /// Bytes of the database's files.
    pub(crate) fn size_bytes(&self) -> Result<u64, Error> {
        self.sum(TABLE_BYTES)
    }

    /// Bytes of the files that hold the newest content.
    pub(crate) fn live_bytes(&self) -> Result<u64, Error> {
        self.sum(LIVE_TABLE_BYTES)
    }

    fn sum(&self, property: &'static str) -> Result<u64, Error> {
        let mut sum = 0;
        for family in self.columns()?.each() {
            let size = self.db.property_int_value_cf(family, property);
            sum += size.map_err(Error::rocks("asking for sizes"))?.unwrap_or(0);
        }
        Ok(sum)
    }

    /// Removes the database's folder once nobody reads it any more.
    pub(crate) fn remove_when_closed(&self) {
        self.folder.doomed.store(true, Ordering::Release);
    }
}

/// Options of all writes: the replicated log is the log.
pub(super) fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// Removes a folder that was replaced.
struct Folder {
    path: PathBuf,
    doomed: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if *self.doomed.get_mut()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            // It is removed at the next opening.
            tracing::warn!(path = %self.path.display(), %error, "a replaced state folder could not be removed");
        }
    }
}
