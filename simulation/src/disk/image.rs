//! The files of a member at one moment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    !name.starts_with("LOG") && name != "LOCK"
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

/// The file that the newest batches of the Raft log are in.
fn log_file(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder.join("log")).ok()?;
    let files = files.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max()
}

/// Its length.
pub(super) fn log_length(folder: &Path) -> u64 {
    log_file(folder).and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
}

/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Leaves the first `length` bytes of it, of which those before `synced` are sure; with `zeros`, what follows is there but
/// was not written, from the beginning of a sector.
pub(super) fn truncate_log(folder: &Path, length: u64, synced: u64, zeros: bool) -> io::Result<()> {
    let Some(path) = log_file(folder) else { return Ok(()) };
    let length = if zeros { (length / SECTOR_BYTES * SECTOR_BYTES).max(synced) } else { length };
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let before = file.metadata()?.len();
    file.set_len(length.min(before))?;
    if zeros {
        file.set_len(before)?;
    }
    Ok(())
}
