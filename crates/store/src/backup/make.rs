//! Makes a backup of a live state: a checkpoint, which costs a flush and links, read out at the receiver's pace.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use keelson_proto::keelson::store::v1::SnapshotManifest;
use keelson_proto::keelson::store::v1::snapshot_manifest::File as Listed;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::archive::{FORMAT_VERSION, MAGIC, padding};
use super::{Error, folder_in};
use crate::raft::log::Identity;
use crate::state::Reader;
use crate::state::meta::Position;

/// The name of the checkpoint in its folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// As in etcd.
const BLOB_BYTES: usize = 32 << 10;

/// A checkpoint, ready to be read.
pub(crate) struct Backup {
    folder: tempfile::TempDir,
    manifest: SnapshotManifest,
    head: Vec<u8>,
}

/// One piece of a backup.
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    /// What is to come after it, not counting the checksum.
    pub(crate) remaining: u64,
}

impl Backup {
    /// Makes the checkpoint in a folder of its own under `scratch`, which must be on the file system of the state. Blocks.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn new(reader: &Reader, identity: Identity, scratch: &Path) -> Result<Self, Error> {
        let folder = folder_in(scratch)?;
        let position = reader.checkpoint_position(&folder.path().join(CHECKPOINT)).map_err(Error::State)?;
        Self::of(folder, identity, &position)
    }

    /// Of the checkpoint at `position` that is [`CHECKPOINT`] in `folder`. Blocks.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn of(folder: tempfile::TempDir, identity: Identity, position: &Position) -> Result<Self, Error> {
        let checkpoint = folder.path().join(CHECKPOINT);
        let mut files = Vec::new();
        for entry in fs::read_dir(&checkpoint).map_err(Error::io("list", &checkpoint))? {
            let entry = entry.map_err(Error::io("list", &checkpoint))?;
            let bytes = entry.metadata().map_err(Error::io("look at", &entry.path()))?.len();
            // RocksDB's names are ASCII.
            files.push(Listed { name: entry.file_name().to_string_lossy().into_owned(), bytes });
        }
        files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        let manifest = SnapshotManifest {
            cluster_id: identity.cluster_id,
            member_id: identity.member_id,
            revision: position.revision,
            compacted_revision: position.compacted,
            applied_index: position.applied.index,
            term: position.applied.term,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files,
        };
        let encoded = manifest.encode_to_vec();
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        head.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes());
        head.extend_from_slice(&encoded);
        Ok(Self { folder, manifest, head })
    }

    /// The revision that it holds.
    pub(crate) fn revision(&self) -> i64 {
        self.manifest.revision
    }

    /// Hands out all of it in order, in blobs of [`BLOB_BYTES`] at most; gives the folder that it read. Blocks.
    ///
    /// # Errors
    /// When the disk fails, and what `emit` gives.
    pub(crate) fn send(self, mut emit: impl FnMut(Blob) -> Result<(), Error>) -> Result<tempfile::TempDir, Error> {
        let content = self.head.len() as u64 + self.manifest.files.iter().map(|file| file.bytes).sum::<u64>();
        let pad = padding(content);
        let mut remaining = content + pad;
        let mut digest = Sha256::new();
        let mut piece = |bytes: &[u8]| -> Result<(), Error> {
            digest.update(bytes);
            remaining -= bytes.len() as u64;
            emit(Blob { bytes: bytes.to_vec(), remaining })
        };
        for chunk in self.head.chunks(BLOB_BYTES) {
            piece(chunk)?;
        }
        let mut buffer = vec![0; BLOB_BYTES];
        for listed in &self.manifest.files {
            let path: PathBuf = self.folder.path().join(CHECKPOINT).join(&listed.name);
            let mut file = File::open(&path).map_err(Error::io("open", &path))?;
            let mut left = listed.bytes;
            while left > 0 {
                let take = usize::try_from(left).unwrap_or(BLOB_BYTES).min(BLOB_BYTES);
                file.read_exact(&mut buffer[..take]).map_err(Error::io("read", &path))?;
                piece(&buffer[..take])?;
                left -= take as u64;
            }
        }
        if pad > 0 {
            piece(&vec![0; usize::try_from(pad).unwrap_or(0)])?;
        }
        emit(Blob { bytes: digest.finalize().to_vec(), remaining: 0 })?;
        Ok(self.folder)
    }
}
