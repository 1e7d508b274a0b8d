//! The files of a member at one moment.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::Write;

/// Files that change while they are copied are copied again; background work of the databases is over soon.
const ATTEMPTS_MAX: usize = 1000;

/// Copies `folder` beside itself and returns the copy.
pub(super) fn take(folder: &Path) -> io::Result<PathBuf> {
    let image = folder.with_extension("image");
    for _ in 0..ATTEMPTS_MAX {
        let before = listing(folder)?;
        if image.exists() {
            fs::remove_dir_all(&image)?;
        }
        // A file that went away while it was copied shows in the listing, too.
        let copied = copy(folder, &image);
        if listing(folder)? == before {
            return copied.map(|()| image);
        }
        std::thread::yield_now();
    }
    Err(io::Error::other("the files do not come to rest"))
}

/// Names and sizes, of files that matter after a restart.
fn listing(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => match listing(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                inner => found.extend(inner?),
            },
            Ok(metadata) if matters(&path) => found.push((path, metadata.len())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// RocksDB's own reports and locks do not.
fn matters(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !name.starts_with("LOG") && name != "LOCK" && name != "lock"
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "sst") {
            // Never changed once written.
            fs::hard_link(&path, &target)?;
        } else if matters(&path) {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Takes those sectors of a write back for which `lost` says so.
pub(super) fn lose_sectors(write: &Write, mut lost: impl FnMut() -> bool) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(&write.file)?;
    let end = write.range.end.min(file.metadata()?.len());
    let mut begin = write.range.start;
    while begin < end {
        let behind = end.min((begin / SECTOR_BYTES + 1) * SECTOR_BYTES);
        if lost() {
            let zeros = [0; SECTOR_BYTES as usize];
            file.write_all_at(&zeros[..usize::try_from(behind - begin).unwrap_or(zeros.len())], begin)?;
        }
        begin = behind;
    }
    Ok(())
}

/// Takes a write back, and all that came after it.
pub(super) fn lose_all_from(write: &Write) -> io::Result<()> {
    let folder = write.file.parent().unwrap_or(&write.file);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == write.file.extension() && path > write.file {
            fs::remove_file(path)?;
        }
    }
    let file = fs::OpenOptions::new().write(true).open(&write.file)?;
    let length = file.metadata()?.len();
    file.set_len(write.range.start)?;
    file.set_len(length)
}
