//! Which file an error of RocksDB is about, when what is on disk is not what was written.

use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;

/// What an operator can do about it.
pub(crate) const ADVICE: &str = "the member does not start on it. Move the data folder away and start the member again: \
                                 it gets its data back from the other members, which must be up. \
                                 A cluster of one member needs a backup";

/// The damaged file when `error` says that one is damaged or missing, or `folder` when it does not say which.
pub(crate) fn file(error: &rocksdb::Error, folder: &Path) -> Option<PathBuf> {
    let text = error.to_string();
    let missing = error.kind() == ErrorKind::IOError && text.contains("No such file");
    // RocksDB finds the name of the newest MANIFEST in CURRENT, and says so when it finds none.
    let pointer = text.contains("CURRENT");
    if error.kind() != ErrorKind::Corruption && !missing && !pointer {
        return None;
    }
    let words = text.split([' ', ',', ';', '\'', '"']).map(|word| word.trim_end_matches(['.', ':']));
    let named = words.map(Path::new).find(|word| word.starts_with(folder) && *word != folder);
    let pointed = || pointer.then(|| folder.join("CURRENT"));
    Some(named.map(Path::to_owned).or_else(pointed).unwrap_or_else(|| folder.to_owned()))
}
