//! The state's folder: which database in it is the current one.
//!
//! ```text
//! <root>/CURRENT      name of the current database's folder, and a newline
//! <root>/state-<n>/   a RocksDB database; any but the current one is left over and removed at the next opening
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::Error;

const POINTER: &str = "CURRENT";
const POINTER_NEW: &str = "CURRENT.new";
const PREFIX: &str = "state-";
/// Files of a database that never change once written; they can be shared by a link.
const TABLE_EXTENSION: &str = "sst";

/// Returns the folder of the current database, creating the root and the first pointer when there is none.
pub(super) fn prepare(root: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(root).map_err(Error::io("creating a folder", root))?;
    let pointer = root.join(POINTER);
    let name = match fs::read_to_string(&pointer) {
        Ok(content) => content.trim_end().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let first = format!("{PREFIX}1");
            switch(root, &first)?;
            first
        }
        Err(error) => return Err(Error::io("reading", &pointer)(error)),
    };
    let found = databases(root)?;
    // Before the first opening there is none at all. Otherwise all that is there would be removed as left over.
    if number(&name).is_none() || !found.is_empty() && !found.contains(&name) {
        return Err(Error::DamagedPointer { pointer });
    }
    for other in found.into_iter().filter(|other| *other != name) {
        let path = root.join(other);
        fs::remove_dir_all(&path).map_err(Error::io("removing a left-over folder", &path))?;
    }
    Ok(root.join(name))
}

/// Copies the database in `from` to a new folder under `root`, durably; returns its name and path.
pub(super) fn adopt(root: &Path, from: &Path) -> Result<(String, PathBuf), Error> {
    let highest = databases(root)?.iter().filter_map(|name| number(name)).max().unwrap_or(0);
    let name = format!("{PREFIX}{}", highest + 1);
    let to = root.join(&name);
    fs::create_dir(&to).map_err(Error::io("creating a folder", &to))?;
    for entry in fs::read_dir(from).map_err(Error::io("listing", from))? {
        let source = entry.map_err(Error::io("listing", from))?.path();
        let Some(file_name) = source.file_name() else { continue };
        let target = to.join(file_name);
        let shareable = source.extension().is_some_and(|extension| extension == TABLE_EXTENSION);
        // Another file system, or one without links, needs a copy.
        if !(shareable && fs::hard_link(&source, &target).is_ok()) {
            fs::copy(&source, &target).map_err(Error::io("copying to", &target))?;
        }
        sync(&target)?;
    }
    sync(&to)?;
    sync(root)?;
    Ok((name, to))
}

/// Makes `name` the current database. Atomic and durable.
pub(super) fn switch(root: &Path, name: &str) -> Result<(), Error> {
    let (new, pointer) = (root.join(POINTER_NEW), root.join(POINTER));
    let mut file = File::create(&new).map_err(Error::io("creating", &new))?;
    file.write_all(format!("{name}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Error::io("writing", &new))?;
    fs::rename(&new, &pointer).map_err(Error::io("replacing", &pointer))?;
    sync(root)
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("syncing", path))
}

fn databases(root: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("listing", root))? {
        let name = entry.map_err(Error::io("listing", root))?.file_name();
        names.extend(name.to_str().filter(|name| number(name).is_some()).map(str::to_owned));
    }
    Ok(names)
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}
