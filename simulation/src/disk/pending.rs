//! What a power failure may undo: bytes, names and removals that were not synced.
//!
//! Bytes whose sync has failed are a case of their own: they can be read until the power fails, and no later sync makes them
//! durable unless they are written again.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use keelson_store::machine::Step;

use super::{Write, image};
use crate::mutant::Mutant;

/// In the order in which it happened.
#[derive(Debug)]
pub(super) struct Pending {
    changes: Vec<Change>,
    /// Where removed files are kept.
    removed: PathBuf,
    next: u64,
    mutant: Option<Mutant>,
}

#[derive(Debug)]
enum Change {
    /// `forgotten` when their sync failed.
    Bytes {
        write: Write,
        forgotten: bool,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
    },
    Removed {
        file: PathBuf,
        kept: PathBuf,
    },
}

impl Pending {
    /// Nothing, of a disk whose files are in `folder`.
    pub(super) fn new(folder: &Path, mutant: Option<Mutant>) -> Self {
        Self { changes: vec![], removed: folder.with_extension("removed"), next: 0, mutant }
    }

    /// The step is taken now.
    pub(super) fn take(&mut self, step: &Step<'_>) -> io::Result<()> {
        match step {
            Step::Write { file, range } => {
                let write = Write { file: file.to_path_buf(), range: range.clone() };
                self.changes.push(Change::Bytes { write, forgotten: false });
            }
            Step::Rewrite { file, range } => {
                for change in &mut self.changes {
                    if let Change::Bytes { write, forgotten } = change
                        && write.overlaps(file, range)
                        && self.mutant != Some(Mutant::ForgottenSync)
                    {
                        *forgotten = false;
                    }
                }
            }
            Step::Sync { file } => {
                let lies = self.mutant == Some(Mutant::UnsyncedSegment) && is_next_segment(file);
                let durable = |change: &Change| matches!(change, Change::Bytes { write, forgotten: false } if write.file == *file);
                self.changes.retain(|change| lies || !durable(change));
            }
            Step::Rename { from, to } => {
                for change in &mut self.changes {
                    if let Change::Bytes { write, .. } = change
                        && write.file == *from
                    {
                        write.file = to.to_path_buf();
                    }
                }
                self.changes.push(Change::Renamed { from: from.to_path_buf(), to: to.to_path_buf() });
            }
            Step::Remove { file } => {
                fs::create_dir_all(&self.removed)?;
                let kept = self.removed.join(self.next.to_string());
                self.next += 1;
                match fs::hard_link(file, &kept) {
                    Ok(()) => self.changes.push(Change::Removed { file: file.to_path_buf(), kept }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Step::SyncFolder { folder } => {
                let durable = |change: &Change| match change {
                    Change::Bytes { .. } => false,
                    Change::Renamed { to: file, .. } | Change::Removed { file, .. } => file.parent() == Some(*folder),
                };
                for change in self.changes.extract_if(.., |change| durable(change)) {
                    if let Change::Removed { kept, .. } = change {
                        fs::remove_file(kept)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A round is written: what was there before counts no more.
    pub(super) fn replaced(&mut self, by: &Write) {
        self.changes
            .retain(|change| !matches!(change, Change::Bytes { write, .. } if write.overlaps(&by.file, &by.range)));
    }

    /// The process has ended before this write was synced.
    pub(super) fn unsynced(&mut self, write: Write) {
        self.changes.push(Change::Bytes { write, forgotten: false });
    }

    /// The sync of this write has failed.
    pub(super) fn forgotten(&mut self, write: Write) {
        self.changes.push(Change::Bytes { write, forgotten: true });
    }

    /// The power has failed: these say which sectors, and which names and removals, are undone of all that is pending.
    pub(super) fn undo(
        &mut self,
        mut sector_lost: impl FnMut() -> bool,
        mut name_lost: impl FnMut() -> bool,
    ) -> io::Result<()> {
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            match change {
                Change::Bytes { write, .. } if write.file.exists() => image::lose_sectors(&write, &mut sector_lost)?,
                Change::Renamed { from, to } if to.exists() && name_lost() => fs::rename(to, from)?,
                Change::Removed { file, kept } if name_lost() => fs::rename(kept, file)?,
                Change::Bytes { .. } | Change::Renamed { .. } | Change::Removed { .. } => {}
            }
        }
        self.forget()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whatever is pending, its files are gone.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.changes.clear();
        match fs::remove_dir_all(&self.removed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.changes.iter().map(|change| match change {
            Change::Bytes { write, .. } => write.range.end - write.range.start,
            Change::Renamed { .. } | Change::Removed { .. } => 0,
        });
        let names = self.changes.iter().filter(|change| !matches!(change, Change::Bytes { .. }));
        write!(f, "{} unsynced bytes and {} names", bytes.sum::<u64>(), names.count())
    }
}

impl Write {
    fn overlaps(&self, file: &Path, range: &Range<u64>) -> bool {
        self.file == file && self.range.start < range.end && range.start < self.range.end
    }
}

/// Whether it is a segment that follows another one, and has no name yet.
fn is_next_segment(file: &Path) -> bool {
    let number = file.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
    file.extension().is_some_and(|extension| extension == "new") && number.is_some_and(|number| number > 1)
}
