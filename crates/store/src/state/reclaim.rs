//! Gives the space of what is compacted back at once, instead of when RocksDB rewrites its files anyway.
//!
//! The sweep, which else moves on with what is applied, is brought to its end; then the files are rewritten, a slice of the
//! keys after the other, so that whoever drives a pass can pause or end it between two steps. Reads and writes go on: a step
//! of the sweep holds the writer for as long as it does between applied entries, and automatic compactions are not held up.

use std::collections::VecDeque;

use rocksdb::{CompactOptions, WriteBatch};

use super::Error;
use super::columns::DATA;
use super::flush::settle;
use super::generation::{Generation, without_log};
use crate::mvcc::key;

/// Bytes of files that are rewritten in one step: a fraction of a second's work. Smaller ones would rewrite more of their
/// neighbours, since a file is rewritten whole.
const SLICE_BYTES: usize = 32 << 20;

/// Steps of the sweep, each well below a millisecond, that are taken together.
const SWEEP_STEPS: usize = 32;

/// How far a pass is. It outlives the replacement of the whole state between two steps: then it goes on with that.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    Sweeping,
    /// The data before `from` are rewritten; the next steps end at these bounds, and the last at the end.
    Rewriting {
        from: Option<Vec<u8>>,
        bounds: VecDeque<Vec<u8>>,
    },
    /// The data are rewritten, and the other columns are not.
    Others,
    Over,
}

impl Pass {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

impl Generation {
    /// Takes the next step of a pass.
    pub(crate) fn reclaim(&self, pass: &mut Pass) -> Result<(), Error> {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        let columns = self.columns()?;
        let next = match std::mem::take(&mut pass.stage) {
            Stage::New => {
                // Until it is durable, the compacted revision must not show in what is missing.
                self.flush()?;
                Stage::Sweeping
            }
            Stage::Sweeping if self.sweep_steps()? => Stage::Sweeping,
            Stage::Sweeping => {
                self.flush()?;
                Stage::Rewriting { from: None, bounds: self.slices()?.into() }
            }
            Stage::Rewriting { from, mut bounds } => {
                let to = bounds.pop_front();
                self.db().compact_range_cf_opt(columns.data, from.as_deref(), to.as_deref(), &options);
                if to.is_some() { Stage::Rewriting { from: to, bounds } } else { Stage::Others }
            }
            Stage::Others => {
                for family in columns.each().into_iter().filter(|family| !std::ptr::eq(*family, columns.data)) {
                    self.db().compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
                }
                settle(self.db())?;
                Stage::Over
            }
            Stage::Over => Stage::Over,
        };
        pass.stage = next;
        Ok(())
    }

    /// Says whether anything may be left.
    fn sweep_steps(&self) -> Result<bool, Error> {
        for _ in 0..SWEEP_STEPS {
            if !self.sweep_step()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves the sweep on as applying entries does; says whether anything may be left.
    fn sweep_step(&self) -> Result<bool, Error> {
        let columns = self.columns()?;
        let floor = self.floor();
        let mut writer = self.writer.lock();
        let mut sweep = writer.sweep;
        if !sweep.pending(floor) {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        sweep.step(&columns, floor, &mut batch)?;
        writer.bytes_since_flush += batch.size_in_bytes() as u64;
        self.db().write_opt(batch, &without_log()).map_err(Error::rocks("sweeping history"))?;
        writer.sweep = sweep;
        // Whoever applies entries goes first.
        parking_lot::MutexGuard::unlock_fair(writer);
        Ok(true)
    }

    /// Where column family `data` is cut into parts of about [`SLICE_BYTES`], never between two versions of a key.
    fn slices(&self) -> Result<Vec<Vec<u8>>, Error> {
        let files = self.db().live_files().map_err(Error::rocks("listing files"))?;
        let files = files.into_iter().filter(|file| file.column_family_name == DATA);
        Ok(cut(files.filter_map(|file| Some((file.start_key?, file.size))).collect()))
    }
}

/// Cuts files, of which each has its first key and its size, into slices.
fn cut(mut files: Vec<(Vec<u8>, usize)>) -> Vec<Vec<u8>> {
    files.sort_unstable();
    let mut bounds: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for (first, size) in files {
        if bytes >= SLICE_BYTES {
            let bound = key::shared_part(&first).unwrap_or(&first).to_vec();
            if bounds.last() != Some(&bound) {
                bounds.push(bound);
                bytes = 0;
            }
        }
        bytes += size;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_between_keys_and_never_between_versions() {
        let version = |user_key: &str, revision| {
            let mut data_key = key::prefix(user_key.as_bytes());
            key::push_revision(&mut data_key, revision);
            data_key
        };
        assert!(cut(vec![(version("a", 1), SLICE_BYTES)]).is_empty());
        let files = vec![
            (version("c", 9), 1),
            (version("a", 9), SLICE_BYTES / 2),
            (version("b", 9), SLICE_BYTES / 2),
            (version("c", 5), SLICE_BYTES),
            (version("c", 4), SLICE_BYTES),
            (version("d", 4), 1),
        ];
        assert_eq!(cut(files), [key::prefix(b"c"), key::prefix(b"d")]);
    }
}
