//! When what was written is durable: the state is written without a log of its own, so only what is in files survives a crash.
//!
//! **Invariant: what is called flushed is named by the description of the database's files, which is synced.** The replicated
//! log before it may be purged.

use std::time::Duration;

use rocksdb::{FlushOptions, WaitForCompactOptions};

use super::columns::Columns;
use super::generation::{Generation, Writer};
use super::{Error, Options};
use crate::machine;

/// Memtables that are full, or were to be flushed, and that no durable file stands for yet.
const IMMUTABLE_MEMTABLES: &str = "rocksdb.num-immutable-mem-table";
/// Between two looks whether a flush is over; it takes some milliseconds at least.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Looks before RocksDB is asked again, which says whether the flush failed.
const LOOKS: usize = 100;

/// What a flush makes durable, at least.
#[derive(Clone, Copy)]
pub(super) struct Flushing {
    pub(super) index: u64,
    pub(super) compacted: i64,
}

impl Generation {
    /// Starts a flush when there is enough to flush, and notices the end of the last one.
    pub(super) fn flush_by_size(
        &self,
        writer: &mut Writer,
        columns: &Columns<'_>,
        now: Flushing,
        options: &Options,
    ) -> Result<(), Error> {
        if let Some(flushing) = writer.flushing {
            if unflushed_memtables(columns)? > 0 {
                return Ok(());
            }
            writer.flushing = None;
            self.flushed(flushing);
        }
        let entries = now.index.saturating_sub(writer.index_at_flush);
        if writer.bytes_since_flush < options.flush_bytes && entries < options.flush_entries {
            return Ok(());
        }
        start(columns)?;
        (writer.bytes_since_flush, writer.index_at_flush) = (0, now.index);
        writer.flushing = Some(now);
        Ok(())
    }

    /// Flushes what is applied, and waits for it.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        // Read first: what is applied while the flush begins may or may not be part of it.
        let now = Flushing { compacted: self.figures.compacted(), index: self.applied().index };
        flush(&self.columns()?)?;
        self.flushed(now);
        Ok(())
    }
}

/// Flushes all that was written, and waits until it is durable.
pub(super) fn flush(columns: &Columns<'_>) -> Result<(), Error> {
    loop {
        ask(columns, &FlushOptions::default())?;
        // Beside a flush in the background this was not all. RocksDB waits until each column family is past the newest of the
        // memtables that it had when it was asked, but takes the numbers of these from a hash table in whose order they are not
        // the families' own (`AtomicFlushMemTables` and `WaitForFlushMemTables` of RocksDB 11.8). They differ after a flush
        // that not all families had something for, and then it can be over too early.
        for _ in 0..LOOKS {
            if unflushed_memtables(columns)? == 0 {
                return Ok(());
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "callers expect to be blocked by the disk, and nothing tells the end"
            )]
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// Starts a flush of all that was written.
fn start(columns: &Columns<'_>) -> Result<(), Error> {
    let mut options = FlushOptions::default();
    options.set_wait(false);
    ask(columns, &options)
}

fn ask(columns: &Columns<'_>, options: &FlushOptions) -> Result<(), Error> {
    columns.db.flush_cfs_opt(&columns.each(), options).map_err(Error::rocks("flushing"))?;
    settle(columns.db)
}

/// None left means that all flushes that were begun are over, and durable.
fn unflushed_memtables(columns: &Columns<'_>) -> Result<u64, Error> {
    let mut sum = 0;
    for family in columns.each() {
        let count = columns.db.property_int_value_cf(family, IMMUTABLE_MEMTABLES);
        sum += count.map_err(Error::rocks("asking for memtables"))?.unwrap_or(0);
    }
    Ok(sum)
}

/// In a simulation, waits for the database's own threads: how far they are must not make two runs different.
pub(super) fn settle(db: &rocksdb::DB) -> Result<(), Error> {
    match machine::current() {
        None => Ok(()),
        Some(_) => db.wait_for_compact(&WaitForCompactOptions::default()).map_err(Error::rocks("waiting")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    /// Flushes that are begun beside one under way. By RocksDB's own wait, some of them are over too early.
    const ROUNDS: usize = 50;

    #[test]
    fn a_flush_beside_one_under_way_is_over_only_when_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = columns::open(folder.path(), &Options::default(), &Arc::new(AtomicI64::new(0))).expect("opens");
        let columns = Columns::of(&db).expect("open");
        let write = |families: &[&rocksdb::ColumnFamily]| {
            let mut batch = rocksdb::WriteBatch::default();
            for family in families {
                batch.put_cf(*family, "key", "value");
            }
            db.write_opt(batch, &super::super::generation::without_log()).expect("writes");
        };
        for _ in 0..ROUNDS {
            for other in [columns.data, columns.rev, columns.lease] {
                // One family has more memtables than the other by now, and alone something for the second flush.
                write(&[columns.meta, other]);
                start(&columns).expect("starts");
                write(&[columns.meta]);
                flush(&columns).expect("flushes");
                assert_eq!(unflushed_memtables(&columns).expect("is told"), 0);
            }
        }
    }
}
