//! Imports the keys of a live store that speaks etcd's API: an etcd cluster from version 3.4, or one of this store.
//!
//! What comes out is a file in the format of [`crate::backup`], from which each member of a new cluster is restored. So nothing is
//! ever seen half imported, no member needs a second way to write, and revisions are kept to the number. The keys are those of
//! *one* revision of the source, the newest when the import began, each with its create and mod revision, version, value and
//! lease. Versions before are not imported: the new store counts as compacted at that revision, which tells watchers that come
//! with an older one to read anew. What is written to the source meanwhile is not in it. Leases keep ids and times to live; what
//! is left of those is read at the end. Users and roles are not imported.
//!
//! ```text
//! FILE                appears whole, by one rename
//! FILE.part/draft     what was received so far, with how far that is: see `state/draft.rs`
//! FILE.part/…         the file while it is written
//! ```
//!
//! An import that was ended by anything goes on when it is called again. It needs room for the content twice; memory for some pages.
//!
//! **Invariant**: the file appears only when the source gave as many keys as it counted at the revision, and what is on disk has
//! the checksum of what was received.

mod deletions;
mod error;
mod leases;
mod pace;
mod source;
#[cfg(test)]
mod stub;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::mvccpb::KeyValue;

use crate::backup::{self, Archive, Backup, Summary};
use crate::raft::log::Identity;
use crate::state::Draft;
use deletions::Deletions;
use pace::Pace;
use source::{ANSWER_BYTES_MAX, Page, Source};

pub use error::Error;

/// In the folder beside the file: the state that is being made.
const DRAFT: &str = "draft";

/// What to import, from where, into which file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file to make. Beside it is a folder of its name and `.part` while the import is under way.
    pub file: PathBuf,
    /// URLs of the source's members, which must be of one cluster.
    pub endpoints: Vec<String>,
    /// The authority that signed the source's certificates.
    pub ca: Option<PathBuf>,
    /// A client's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Name and password of a user who may read everything, when authentication is on.
    pub user: Option<(String, String)>,
    /// Bytes of one answer, about; a few times as much are in memory.
    pub page_bytes: usize,
    /// Bytes after which what was received is made durable: what a crash costs.
    pub flush_bytes: usize,
    /// How long endpoints that do not answer are asked again. Each is asked once, however long that takes.
    pub patience: Duration,
    /// How long one endpoint may take to answer before the next is asked.
    pub answer_timeout: Duration,
}

impl Options {
    /// With the usual sizes, in the clear.
    pub fn new(file: impl Into<PathBuf>, endpoints: Vec<String>) -> Self {
        Self {
            file: file.into(),
            endpoints,
            ca: None,
            certificate: None,
            user: None,
            page_bytes: 2 << 20,
            flush_bytes: 32 << 20,
            // An election and a restart.
            patience: Duration::from_secs(30),
            // Many times what a page takes, and time for the others.
            answer_timeout: Duration::from_secs(10),
        }
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.file.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        self.file.with_file_name(name)
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// At which the source is read.
    pub revision: i64,
    /// Received, earlier runs included.
    pub keys: u64,
    /// To be received in all.
    pub keys_total: u64,
    /// Of keys and values received.
    pub bytes: u64,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What the file holds.
    pub summary: Summary,
    /// Leases that live at the source.
    pub leases: u64,
    /// Leases with keys that ended at the source since the revision. They end in the new store, too, a second after it starts.
    pub ended_leases: u64,
}

/// Imports, or goes on with an import of the same file; tells `progress` at the beginning and after each page. Dropping the future
/// leaves what a crash would. Writes to the disk on the thread that polls it.
///
/// # Errors
/// Each way in which the source or the disk does not allow it. What was imported stays, to be gone on with.
pub async fn run(options: &Options, mut progress: impl FnMut(Step)) -> Result<Imported, Error> {
    absent(&options.file)?;
    let source = Source::new(options)?;
    let partial = options.partial();
    fs::create_dir_all(&partial).map_err(io("make", &partial))?;
    let mut draft = Draft::open(&partial.join(DRAFT), options.flush_bytes).map_err(Error::State)?;
    // From here on no other run writes. One that has just ended may have made the file.
    absent(&options.file)?;
    remove_leftovers(&partial)?;
    let cluster_id = begin(&source, &mut draft, &partial).await?;
    receive(&source, &mut draft, options, &partial, &mut progress).await?;
    let leases = leases::read(&source, &draft, cluster_id, &partial).await?;
    let ended_leases = draft.set_leases(&leases).map_err(Error::State)?;
    let summary = finish(draft, cluster_id, &options.file, &partial)?;
    Ok(Imported { summary, leases: leases.len() as u64, ended_leases })
}

fn absent(file: &Path) -> Result<(), Error> {
    if file.exists() { Err(Error::Exists { path: file.to_owned() }) } else { Ok(()) }
}

/// Removes what a run left that was ended while it wrote the file: all but the draft.
fn remove_leftovers(partial: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(partial).map_err(io("list", partial))? {
        let path = entry.map_err(io("list", partial))?.path();
        if path.file_name().is_none_or(|name| name != DRAFT) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(io("remove", &path))?;
        }
    }
    Ok(())
}

/// Notes what is to be imported, or makes sure that the source is still the same; gives its cluster's id.
async fn begin(source: &Source, draft: &mut Draft, partial: &Path) -> Result<u64, Error> {
    let counted = source.count().await?;
    let header = counted.header.unwrap_or_default();
    match draft.progress() {
        Some(begun) => same_cluster(begun.cluster_id, header.cluster_id, partial)?,
        None => {
            let keys = u64::try_from(counted.count).unwrap_or(0);
            if header.revision < 1 {
                return Err(Error::Odd { endpoint: source.endpoint().to_owned(), what: "no revision" });
            }
            let revision = header.revision;
            let deleted = match deletions::read(source, revision).await? {
                Deletions::Keys(keys) => keys,
                Deletions::TooMany { bytes_max } => return Err(Error::ManyDeletions { revision, bytes_max }),
                Deletions::Compacted => return Err(Error::Compacted { revision, partial: partial.to_owned() }),
            };
            draft.begin(header.cluster_id, revision, keys, &deleted).map_err(Error::State)?;
        }
    }
    Ok(header.cluster_id)
}

fn same_cluster(expected: u64, found: u64, partial: &Path) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::OtherCluster { partial: partial.to_owned(), expected, found })
}

/// Receives all pairs that are not there yet.
async fn receive(
    source: &Source,
    draft: &mut Draft,
    options: &Options,
    partial: &Path,
    progress: &mut impl FnMut(Step),
) -> Result<(), Error> {
    let mut pace = Pace::new(options.page_bytes);
    let mut more = true;
    loop {
        let so_far = draft.progress().cloned().unwrap_or_default();
        let (revision, keys, keys_total) = (so_far.revision, so_far.keys, so_far.keys_total);
        progress(Step { revision, keys, keys_total, bytes: so_far.bytes });
        if !more || keys == keys_total {
            return if keys == keys_total {
                Ok(())
            } else {
                Err(Error::Incomplete { partial: partial.to_owned(), expected: keys_total, found: keys })
            };
        }
        let page = match source.page(revision, &so_far.last, pace.limit()).await? {
            Page::Pairs(page) => page,
            Page::Compacted => return Err(Error::Compacted { revision, partial: partial.to_owned() }),
            Page::TooLarge if pace.step_back() => continue,
            Page::TooLarge => {
                let after = String::from_utf8_lossy(&so_far.last).into_owned();
                return Err(Error::TooLarge { after, bytes_max: ANSWER_BYTES_MAX });
            }
        };
        same_cluster(so_far.cluster_id, page.header.map_or(0, |header| header.cluster_id), partial)?;
        check(&page.kvs, &so_far.last, revision)
            .map_err(|what| Error::Odd { endpoint: source.endpoint().to_owned(), what })?;
        pace.took(page.kvs.iter().map(|pair| pair.key.len() + pair.value.len()).sum());
        more = page.more && !page.kvs.is_empty();
        draft.add(&page.kvs).map_err(Error::State)?;
    }
}

/// Whether pairs are what a store can hold at `revision`, behind `after`; what is odd about them if not.
fn check(pairs: &[KeyValue], after: &Bytes, revision: i64) -> Result<(), &'static str> {
    let mut last = after;
    for pair in pairs {
        if pair.key <= *last {
            return Err("keys out of order");
        }
        let revisions = 1 <= pair.create_revision
            && pair.create_revision <= pair.mod_revision
            && pair.mod_revision <= revision
            && pair.version >= 1;
        if !revisions {
            return Err("revisions that do not fit together");
        }
        last = &pair.key;
    }
    Ok(())
}

/// Makes the file of what was received, and verifies it. The draft is held to the end, and with it the lock that keeps other
/// runs out.
fn finish(mut draft: Draft, cluster_id: u64, file: &Path, partial: &Path) -> Result<Summary, Error> {
    let received = draft.progress().cloned().unwrap_or_default();
    let folder = backup::folder_in(partial).map_err(Error::Backup)?;
    let archive = folder.path().join("archive");
    let checkpoint = folder.path().join(backup::CHECKPOINT);
    let position = draft.finish(&checkpoint).map_err(Error::State)?;
    let backup = Backup::of(folder, Identity { cluster_id, member_id: 0 }, &position).map_err(Error::Backup)?;
    let mut out = File::create(&archive).map_err(io("create", &archive))?;
    let write = |blob: backup::Blob| {
        out.write_all(&blob.bytes).map_err(|source| backup::Error::Io {
            action: "write",
            path: archive.clone(),
            source,
        })
    };
    let content = backup.send(write).map_err(Error::Backup)?;
    out.sync_all().map_err(io("sync", &archive))?;
    let written = Archive::open(&archive).and_then(|archive| archive.summary(&content.path().join(backup::CHECKPOINT)));
    let written = written.map_err(Error::Backup)?;
    if (written.keys, written.hash) != (received.keys, received.checksum) {
        return Err(Error::Differs { partial: partial.to_owned() });
    }
    fs::rename(&archive, file).map_err(io("make", file))?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("sync", parent))?;
    drop(content);
    fs::remove_dir_all(partial).map_err(io("remove", partial))?;
    Ok(written)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_store_holds_is_not_taken() {
        let pair = |key: &'static str, create_revision, mod_revision, version| KeyValue {
            key: key.into(),
            create_revision,
            mod_revision,
            version,
            ..KeyValue::default()
        };
        let after = Bytes::from("m");
        assert_eq!(check(&[pair("n", 2, 5, 3), pair("o", 5, 5, 1)], &after, 5), Ok(()));
        for odd in [
            vec![pair("m", 2, 5, 1)],
            vec![pair("o", 2, 5, 1), pair("n", 2, 5, 1)],
            vec![pair("n", 6, 5, 1)],
            vec![pair("n", 2, 6, 1)],
            vec![pair("n", 0, 5, 1)],
            vec![pair("n", 2, 5, 0)],
        ] {
            assert!(check(&odd, &after, 5).is_err(), "{odd:?}");
        }
    }
}
