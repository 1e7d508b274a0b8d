//! What happens to the log's files besides the writes of rounds, step by step, so that a simulated disk can fail at each.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::current;

/// A step. The power may fail before it, and before it is durable.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// Bytes of a new file are written.
    Write { file: &'a Path, range: Range<u64> },
    /// Bytes are written that are there already, in case they are not on disk.
    Rewrite { file: &'a Path, range: Range<u64> },
    /// What was written to a file becomes durable.
    Sync { file: &'a Path },
    /// A file gets another name.
    Rename { from: &'a Path, to: &'a Path },
    /// A file goes.
    Remove { file: &'a Path },
    /// The names in a folder become durable.
    SyncFolder { folder: &'a Path },
}

/// To be called before each step.
///
/// # Errors
/// When a simulated disk fails. The step must not be taken then.
pub(crate) fn before(step: &Step<'_>) -> io::Result<()> {
    current().map_or(Ok(()), |machine| machine.world().before_step(step))
}
