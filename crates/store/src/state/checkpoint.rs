//! Complete copies of the state for a lagging member or a backup.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::columns::{self, Columns};
use super::generation::Generation;
use super::meta::Position;
use super::{Error, meta};

/// Writes a copy into `dir`. Applying may go on meanwhile: the position is read from the copy itself.
pub(super) fn create(generation: &Generation, dir: &Path) -> Result<Position, Error> {
    // A checkpoint has no log to copy, so all must be in files. RocksDB means to flush for it, but leaves out what was applied
    // while a flush in the background was under way.
    generation.flush()?;
    Checkpoint::new(generation.db())
        .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
        .map_err(Error::rocks("making a checkpoint"))?;
    let copy = columns::open_read_only(dir)?;
    let position = meta::load(&Columns::of(&copy)?)?;
    generation.figures.advance_flushed(position.applied.index);
    Ok(position)
}
