//! The end of a write that was under way when the power went.
//!
//! A file system may have made a file longer without having written all of it, which then ends in zeros. RocksDB passes over
//! a record that ends too early, but calls one damaged that is there and half zeros. Without its zeros it ends too early.
//!
//! A batch is synced before the next one is written and before anybody is told of it. So only the last record can be such a
//! one, and nobody was told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

const STEP_BYTES: u64 = 64 << 10;
/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// A file whose zeros at the end were cut off.
pub(super) struct Cut {
    file: PathBuf,
    length: u64,
}

impl Cut {
    /// Puts the zeros back.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn undo(self) -> io::Result<()> {
        set_length(&self.file, self.length)
    }
}

/// Cuts the zeros from the end of the newest write-ahead log. None when it has none.
///
/// # Errors
/// When the disk fails.
pub(super) fn cut(folder: &Path) -> io::Result<Option<Cut>> {
    let Some(file) = newest(folder)? else { return Ok(None) };
    let length = fs::metadata(&file)?.len();
    let written = length_without_zeros(&mut File::open(&file)?, length)?;
    // Of a last sector that was written, nothing is missing. So a record that just ends in zeros is not taken for torn.
    if written > length.saturating_sub(1) / SECTOR_BYTES * SECTOR_BYTES {
        return Ok(None);
    }
    set_length(&file, written)?;
    Ok(Some(Cut { file, length }))
}

/// The newest write-ahead log with something in it: an attempt to open the folder leaves an empty one.
fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<PathBuf> = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log && fs::metadata(&path)?.len() > 0 && newest.as_ref().is_none_or(|newest| *newest < path) {
            newest = Some(path);
        }
    }
    Ok(newest)
}

fn length_without_zeros(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP_BYTES);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        file.by_ref().take(end - start).read_to_end(&mut piece)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte != 0) {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn set_length(file: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(file)?;
    file.set_len(length)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_cut_from_the_newest_log_only_and_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let long = [&[1; 5][..], &vec![0; 200_000]].concat();
        for (name, content) in [("000004.log", &long[..]), ("000007.log", &long), ("000009.log", &[]), ("1.sst", &long)]
        {
            fs::write(path(name), content).expect("writes");
        }
        let cut_off = cut(folder.path()).expect("reads").expect("there are zeros");
        assert_eq!(fs::read(path("000007.log")).expect("reads"), [1; 5]);
        assert_eq!(fs::read(path("000004.log")).expect("reads"), long);
        assert!(cut(folder.path()).expect("reads").is_none());
        fs::write(path("000007.log"), [&[1; 600][..], &[0; 400]].concat()).expect("writes");
        assert!(cut(folder.path()).expect("reads").is_none(), "something of the last sector was written");
        cut_off.undo().expect("writes");
        assert_eq!(fs::metadata(path("000007.log")).expect("is there").len(), long.len() as u64);
    }
}
