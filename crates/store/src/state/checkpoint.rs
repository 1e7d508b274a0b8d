//! Complete copies of the state for a lagging member or a backup.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::columns::{self, Columns};
use super::generation::Generation;
use super::{Applied, Error, meta};

/// Writes a copy into `dir`. Applying may go on meanwhile: the position is read from the copy itself.
pub(super) fn create(generation: &Generation, dir: &Path) -> Result<Applied, Error> {
    // RocksDB flushes before it links the files: there is no log of its own to copy.
    Checkpoint::new(generation.db())
        .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
        .map_err(Error::rocks("making a checkpoint"))?;
    let copy = columns::open_read_only(dir)?;
    let position = meta::load(&Columns::of(&copy)?)?;
    generation.figures.advance_flushed(position.applied.index);
    Ok(position.applied)
}
