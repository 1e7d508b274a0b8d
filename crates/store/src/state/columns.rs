//! The column families of the state database, and how RocksDB is set up for them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, LogLevel, Options as Rocks,
    ReadOptions, SliceTransform,
};

use super::{Error, Options, meta};
use crate::mvcc::compaction::Factory;
use crate::mvcc::key;

pub(super) const DATA: &str = "data";
const REV: &str = "rev";
const LEASE: &str = "lease";
const LEASE_KEYS: &str = "lease_keys";
const META: &str = "meta";
const AUTH: &str = "auth";
/// RocksDB always has this one; nothing is kept in it.
const DEFAULT: &str = "default";
const ALL: [&str; 6] = [DATA, REV, LEASE, LEASE_KEYS, META, AUTH];

/// Blocks of 16 KiB: half as many index entries as the default's, and still one read each.
const BLOCK_BYTES: usize = 16 << 10;
/// One compaction and one flush at a time leave the cores to the store.
const BACKGROUND_JOBS: i32 = 2;
/// Memtables of one column family: one being filled, two being flushed before writers wait.
const MEMTABLES: i32 = 3;
/// Column families other than `data` hold little; their memtables grow far slower.
const SMALL_MEMTABLE_SHARE: usize = 4;
/// One in a hundred keys that are not in a file is looked for in it all the same.
const FILTER_BITS_PER_KEY: f64 = 10.0;
/// Of a memtable's size, for a filter of its keys: ten bits for each pair of 128 bytes.
const MEMTABLE_FILTER_SHARE: f64 = 0.01;
const INFO_LOGS_KEPT: usize = 3;
/// Read at once while everything is checked.
const VERIFY_READAHEAD_BYTES: usize = 2 << 20;

/// Handles of an open database.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub db: &'a DB,
    pub data: &'a ColumnFamily,
    pub rev: &'a ColumnFamily,
    pub lease: &'a ColumnFamily,
    pub lease_keys: &'a ColumnFamily,
    pub meta: &'a ColumnFamily,
    pub auth: &'a ColumnFamily,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(db: &'a DB) -> Result<Self, Error> {
        let column = |name| db.cf_handle(name).ok_or(Error::Corrupt { what: "a column family" });
        Ok(Self {
            db,
            data: column(DATA)?,
            rev: column(REV)?,
            lease: column(LEASE)?,
            lease_keys: column(LEASE_KEYS)?,
            meta: column(META)?,
            auth: column(AUTH)?,
        })
    }

    pub(crate) fn each(&self) -> [&'a ColumnFamily; 6] {
        [self.data, self.rev, self.lease, self.lease_keys, self.meta, self.auth]
    }
}

/// Opens the database in `path`, or creates it. `floor` is the compaction filter's.
pub(crate) fn open(path: &Path, options: &Options, floor: &Arc<AtomicI64>) -> Result<DB, Error> {
    let rocks = database_options(options);
    refuse_unknown(&rocks, path)?;
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    let families = ALL.map(|name| {
        let mut family = family_options(name, options, &cache);
        if name == DATA {
            family.set_compaction_filter_factory(Factory { floor: floor.clone() });
        }
        ColumnFamilyDescriptor::new(name, family)
    });
    let db = DB::open_cf_descriptors(&rocks, path, families).map_err(Error::opening("opening", path))?;
    if options.verify {
        verify(&Columns::of(&db)?).map_err(Error::opening("checking", path))?;
    }
    Ok(db)
}

/// Reads all of it, which checks every block against its checksum, and leaves the cache alone.
fn verify(columns: &Columns<'_>) -> Result<(), rocksdb::Error> {
    for family in columns.each() {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_total_order_seek(true);
        options.set_readahead_size(VERIFY_READAHEAD_BYTES);
        let mut all = columns.db.raw_iterator_cf_opt(family, options);
        all.seek_to_first();
        while all.valid() {
            all.next();
        }
        all.status()?;
    }
    Ok(())
}

/// Opens the database in `path` for reading only.
pub(crate) fn open_read_only(path: &Path) -> Result<DB, Error> {
    let rocks = Rocks::default();
    refuse_unknown(&rocks, path)?;
    DB::open_cf_for_read_only(&rocks, path, ALL, false).map_err(Error::rocks("opening a copy"))
}

/// A newer format may have more column families, without which RocksDB does not open.
fn refuse_unknown(rocks: &Rocks, path: &Path) -> Result<(), Error> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let found = DB::list_cf(rocks, path).map_err(Error::opening("listing column families", path))?;
    match found.into_iter().find(|name| name != DEFAULT && !ALL.contains(&name.as_str())) {
        Some(name) => {
            Err(Error::NewerFormat { found: format!("with a column family {name}"), supported: meta::FORMAT_VERSION })
        }
        None => Ok(()),
    }
}

fn database_options(options: &Options) -> Rocks {
    let mut rocks = Rocks::default();
    rocks.create_if_missing(true);
    rocks.create_missing_column_families(true);
    // Without a log of its own, what one flush makes durable must be one state.
    rocks.set_atomic_flush(true);
    // Apply is the only writer. Rows of `rev` are then put behind each other without a search.
    rocks.set_allow_concurrent_memtable_write(false);
    rocks.set_max_background_jobs(BACKGROUND_JOBS);
    // The filter's rule holds for versions that pass through one filter in order.
    rocks.set_max_subcompactions(1);
    rocks.set_max_open_files(options.open_files_max);
    rocks.set_log_level(LogLevel::Warn);
    rocks.set_keep_log_file_num(INFO_LOGS_KEPT);
    rocks
}

fn family_options(name: &str, options: &Options, cache: &Cache) -> Rocks {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    // Counted in the cache, so that the cache's size is the bound.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut family = Rocks::default();
    if name == DATA {
        // A write looks for the version that it replaces, and a read for one key: most files and memtables do not have it.
        let shared = |data_key| key::shared_part(data_key).unwrap_or(data_key);
        let in_domain = |data_key: &[u8]| key::shared_part(data_key).is_some();
        family.set_prefix_extractor(SliceTransform::create("keelson.user_key", shared, Some(in_domain)));
        family.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_SHARE);
        blocks.set_bloom_filter(FILTER_BITS_PER_KEY, false);
        blocks.set_whole_key_filtering(false);
    }
    family.set_block_based_table_factory(&blocks);
    family.set_max_write_buffer_number(MEMTABLES);
    family.set_compression_type(DBCompressionType::Lz4);
    if name == DATA {
        family.set_write_buffer_size(options.memtable_bytes);
        family.set_bottommost_compression_type(DBCompressionType::Zstd);
    } else {
        family.set_write_buffer_size((options.memtable_bytes / SMALL_MEMTABLE_SHARE).max(1 << 20));
    }
    family
}
