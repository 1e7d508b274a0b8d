//! Snapshots on their way: a checkpoint of the state's database, sent file by file.
//!
//! A snapshot is not kept. It exists as files only while it is sent, because a kept checkpoint would pin files that
//! compaction has replaced. What is sent may so be newer than what was announced to openraft, never older.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use keelson_proto::keelson::raft::v1::{
    FileChunk, InstallSnapshotRequest, SnapshotHeader, install_snapshot_request::Message,
};
use sha2::{Digest as _, Sha256};

use super::codec;
use super::types::{LogId, SnapshotMeta, Vote, log_id};
use crate::state::{self, Reader};

/// Bytes of a file in one message.
const CHUNK_BYTES: usize = 256 << 10;
/// Files of a checkpoint are in one folder and have short names.
const NAME_BYTES_MAX: usize = 255;

/// Why a snapshot was not sent or not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {action} {}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a checkpoint of the state")]
    Checkpoint(#[source] state::Error),
    /// A snapshot never holds entries of a later leader than the one that sends it.
    #[error("the snapshot is newer than its sender's term")]
    Term,
    #[error("the snapshot stream is out of order: {what}")]
    Order { what: &'static str },
    #[error("the snapshot has a file named {name:?}")]
    Name { name: String },
    #[error("the snapshot's checksum is wrong")]
    Checksum,
    #[error("the snapshot was announced at {announced:?} and is at {installed:?}")]
    Position { announced: Option<LogId>, installed: Option<LogId> },
    #[error(transparent)]
    Codec(#[from] codec::Error),
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { action, path: path.to_owned(), source }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A name in `parent` that is not taken. The folder itself is not made.
    fn reserve(parent: &Path, purpose: &str) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(parent).map_err(file_error("create", parent))?;
        Ok(Self(parent.join(format!("{purpose}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a snapshot that is done with");
        }
    }
}

/// What openraft passes around as a snapshot's content.
pub(crate) enum Source {
    /// Own state, of which a checkpoint can be made.
    Live { reader: Reader, snapshots_dir: PathBuf },
    /// A checkpoint that arrived here.
    Received(Folder),
}

/// A snapshot on its way out: a checkpoint, and how much of it was read.
pub(crate) struct Sending {
    folder: Folder,
    header: Option<SnapshotHeader>,
    /// The names of the files that were not begun, the first one last.
    names: Vec<String>,
    file: Option<Reading>,
    /// None once it was sent.
    digest: Option<Sha256>,
}

struct Reading {
    name: String,
    path: PathBuf,
    file: File,
    offset: u64,
}

impl Sending {
    /// Makes a checkpoint. Blocks.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn new(reader: &Reader, snapshots_dir: &Path, vote: &Vote) -> Result<Self, Error> {
        let folder = Folder::reserve(snapshots_dir, "send")?;
        let applied = reader.checkpoint(folder.path()).map_err(Error::Checkpoint)?;
        if applied.term > vote.leader_id.term {
            return Err(Error::Term);
        }
        let meta = SnapshotMeta {
            last_log_id: codec::index(applied.index).map(|index| log_id(applied.term, index)),
            last_membership: codec::decode_stored_membership(applied.membership)?,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.path()).map_err(file_error("list", folder.path()))? {
            let entry = entry.map_err(file_error("list", folder.path()))?;
            let name = entry.file_name().into_string().map_err(|name| Error::Name { name: format!("{name:?}") })?;
            names.push(name);
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        let header = Some(codec::from_snapshot_meta(vote, &meta));
        Ok(Self { folder, header, names, file: None, digest: Some(Sha256::new()) })
    }

    /// The next message: header, chunks, checksum; then None. Blocks.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn read(&mut self) -> Result<Option<InstallSnapshotRequest>, Error> {
        let message = match self.header.take() {
            Some(header) => Some(Message::Header(header)),
            None => match self.read_chunk()? {
                Some(chunk) => Some(Message::Chunk(chunk)),
                None => self.digest.take().map(|digest| Message::Sha256(Bytes::copy_from_slice(&digest.finalize()))),
            },
        };
        Ok(message.map(|message| InstallSnapshotRequest { message: Some(message) }))
    }

    fn read_chunk(&mut self) -> Result<Option<FileChunk>, Error> {
        loop {
            let Some(reading) = &mut self.file else {
                let Some(name) = self.names.pop() else { return Ok(None) };
                let path = self.folder.path().join(&name);
                let file = File::open(&path).map_err(file_error("open", &path))?;
                self.file = Some(Reading { name, path, file, offset: 0 });
                continue;
            };
            let mut data = Vec::with_capacity(CHUNK_BYTES);
            let read = Read::by_ref(&mut reading.file).take(CHUNK_BYTES as u64).read_to_end(&mut data);
            let read = read.map_err(file_error("read", &reading.path))?;
            let offset = reading.offset;
            // An empty file has one empty chunk.
            let chunk =
                (read > 0 || offset == 0).then(|| FileChunk { name: reading.name.clone(), offset, data: data.into() });
            reading.offset += read as u64;
            if read < CHUNK_BYTES {
                self.file = None;
            }
            if let Some(chunk) = chunk {
                if let Some(digest) = &mut self.digest {
                    add(digest, &chunk);
                }
                return Ok(Some(chunk));
            }
        }
    }
}

fn add(digest: &mut Sha256, chunk: &FileChunk) {
    digest.update((chunk.name.len() as u64).to_be_bytes());
    digest.update(chunk.name.as_bytes());
    digest.update(chunk.offset.to_be_bytes());
    digest.update((chunk.data.len() as u64).to_be_bytes());
    digest.update(&chunk.data);
}

/// A snapshot that is arriving.
pub(crate) struct Receiver {
    vote: Vote,
    meta: SnapshotMeta,
    folder: Folder,
    digest: Sha256,
    file: Option<(String, File, u64)>,
    complete: bool,
}

impl Receiver {
    /// Starts with the stream's first message.
    ///
    /// # Errors
    /// When the header makes no sense or the folder cannot be made.
    pub(crate) fn new(header: SnapshotHeader, snapshots_dir: &Path) -> Result<Self, Error> {
        let (vote, meta) = codec::to_snapshot_meta(header)?;
        if meta.last_log_id.is_some_and(|last| last.leader_id.term > vote.leader_id.term) {
            return Err(Error::Term);
        }
        let folder = Folder::reserve(snapshots_dir, "receive")?;
        fs::create_dir(folder.path()).map_err(file_error("create", folder.path()))?;
        Ok(Self { vote, meta, folder, digest: Sha256::new(), file: None, complete: false })
    }

    pub(crate) fn vote(&self) -> &Vote {
        &self.vote
    }

    /// Takes the next message. Blocks.
    ///
    /// # Errors
    /// When it is not the one that should follow, or the disk fails.
    pub(crate) fn accept(&mut self, message: Message) -> Result<(), Error> {
        if self.complete {
            return Err(Error::Order { what: "something follows the checksum" });
        }
        match message {
            Message::Header(_) => Err(Error::Order { what: "a second header" }),
            Message::Chunk(chunk) => self.write(&chunk),
            Message::Sha256(expected) => {
                self.close_file()?;
                if self.digest.clone().finalize()[..] != expected[..] {
                    return Err(Error::Checksum);
                }
                self.complete = true;
                Ok(())
            }
        }
    }

    fn write(&mut self, chunk: &FileChunk) -> Result<(), Error> {
        add(&mut self.digest, chunk);
        if self.file.as_ref().is_none_or(|(name, ..)| *name != chunk.name) {
            self.close_file()?;
            if chunk.offset != 0 {
                return Err(Error::Order { what: "a file does not start at its beginning" });
            }
            let name = &chunk.name;
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(['/', '\0']) || name.starts_with('.') {
                return Err(Error::Name { name: name.clone() });
            }
            let path = self.folder.path().join(name);
            let file = File::create_new(&path).map_err(file_error("create", &path))?;
            self.file = Some((name.clone(), file, 0));
        }
        if let Some((name, file, size)) = &mut self.file {
            if chunk.offset != *size {
                return Err(Error::Order { what: "a chunk is missing" });
            }
            let path = self.folder.path().join(name);
            file.write_all_at(&chunk.data, *size).map_err(file_error("write", &path))?;
            *size += chunk.data.len() as u64;
        }
        Ok(())
    }

    fn close_file(&mut self) -> Result<(), Error> {
        if let Some((name, mut file, _)) = self.file.take() {
            let path = self.folder.path().join(name);
            file.flush().and_then(|()| file.sync_all()).map_err(file_error("sync", &path))?;
        }
        Ok(())
    }

    /// The whole of it.
    ///
    /// # Errors
    /// When the stream ended early.
    pub(crate) fn finish(self) -> Result<(Vote, super::state_machine::Snap), Error> {
        if !self.complete {
            return Err(Error::Order { what: "it ends before the checksum" });
        }
        let snapshot = openraft::Snapshot { meta: self.meta, snapshot: Source::Received(self.folder) };
        Ok((self.vote, snapshot))
    }
}
