//! Sizes of the state's caches and buffers, which bound its memory.

/// Sizes and thresholds. The memory of the state is about `block_cache_bytes + 3 × memtable_bytes + latest_bytes`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cached blocks, indexes and filters included.
    pub block_cache_bytes: usize,
    /// One memtable of the column family that holds values. Above `flush_bytes`, so that it is the state that starts
    /// flushes, and knows what they cover.
    pub memtable_bytes: usize,
    /// A flush in the background is started when this many bytes were written since the last one.
    pub flush_bytes: u64,
    /// A flush in the background is started when this many entries were applied since the last one, so that the log of a
    /// store with little to write can be purged too.
    pub flush_entries: u64,
    /// Files held open; each costs a descriptor and a little memory.
    pub open_files_max: i32,
    /// Headers of keys written lately, which spare a write the search for what it replaces.
    pub latest_bytes: usize,
    /// Read everything at the opening and check it against its checksums.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 << 20,
            memtable_bytes: 64 << 20,
            flush_bytes: 32 << 20,
            flush_entries: 100_000,
            open_files_max: 512,
            latest_bytes: 16 << 20,
            verify: true,
        }
    }
}
