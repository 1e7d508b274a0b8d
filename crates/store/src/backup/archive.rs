//! Reads a backup file: verifies all of it, then unpacks.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use keelson_proto::keelson::store::v1::SnapshotManifest;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::Error;
use crate::state;

pub(super) const MAGIC: &[u8; 8] = b"KEELSNAP";
/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: u64 = 16;
const SHA256_BYTES: u64 = 32;
/// A checkpoint has some thousand files of some hundred bytes of name each, at most.
const MANIFEST_BYTES_MAX: u32 = 16 << 20;
/// etcdctl takes a file for one with a checksum when so many bytes divide the rest.
const BLOCK_BYTES: u64 = 512;
const BUFFER_BYTES: usize = 1 << 20;

/// What must follow `content` bytes.
pub(super) fn padding(content: u64) -> u64 {
    content.next_multiple_of(BLOCK_BYTES) - content
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The checksum of its keys at its revision: what HashKV answers there.
    pub hash: u32,
    /// The newest revision.
    pub revision: i64,
    /// Revisions below this one cannot be read; 0 when it was never compacted.
    pub compacted_revision: i64,
    /// Keys that live at the newest revision.
    pub keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The version of the program that made it.
    pub version: String,
}

/// A backup file whose every byte was verified.
pub(crate) struct Archive {
    path: PathBuf,
    manifest: SnapshotManifest,
    /// Where the first file's bytes begin.
    start: u64,
    bytes: u64,
    sha256: [u8; 32],
}

impl Archive {
    /// Opens and verifies `path`.
    ///
    /// # Errors
    /// When it is not a backup, is cut short or damaged, or is of a newer version.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let not_a_backup = || Error::NotABackup { path: path.to_owned() };
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let bytes = file.metadata().map_err(Error::io("look at", path))?.len();
        let mut head = [0; HEAD_BYTES as usize];
        file.read_exact(&mut head).map_err(|_| not_a_backup())?;
        let (magic, rest) = head.split_at(MAGIC.len());
        let (format, length) = rest.split_at(4);
        if magic != MAGIC {
            return Err(not_a_backup());
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let (found, length) = (number(format), number(length));
        if found != FORMAT_VERSION {
            return Err(Error::Newer { path: path.to_owned(), found, known: FORMAT_VERSION });
        }
        if length > MANIFEST_BYTES_MAX {
            return Err(not_a_backup());
        }
        let mut manifest = Vec::new();
        Read::by_ref(&mut file).take(length.into()).read_to_end(&mut manifest).map_err(Error::io("read", path))?;
        let manifest = SnapshotManifest::decode(&manifest[..]).map_err(|_| not_a_backup())?;
        let start = HEAD_BYTES + u64::from(length);
        let content = manifest.files.iter().try_fold(start, |sum, file| sum.checked_add(file.bytes));
        let padded = content.and_then(|content| content.checked_next_multiple_of(BLOCK_BYTES));
        let expected = padded.and_then(|padded| padded.checked_add(SHA256_BYTES)).ok_or_else(not_a_backup)?;
        if bytes != expected {
            return Err(Error::Length { path: path.to_owned(), found: bytes, expected });
        }
        let sha256 = verify(path, &mut file, bytes - SHA256_BYTES)?;
        Ok(Self { path: path.to_owned(), manifest, start, bytes, sha256 })
    }

    pub(crate) fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Writes the files of the checkpoint into `folder`, which exists, durably.
    ///
    /// # Errors
    /// When the disk fails, or the manifest has names that no checkpoint has.
    pub(crate) fn unpack(&self, folder: &Path) -> Result<(), Error> {
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        let mut from = BufReader::with_capacity(BUFFER_BYTES, file);
        from.seek(SeekFrom::Start(self.start)).map_err(Error::io("read", &self.path))?;
        for listed in &self.manifest.files {
            if listed.name.is_empty() || listed.name.starts_with('.') || listed.name.contains(['/', '\0']) {
                return Err(Error::NotABackup { path: self.path.clone() });
            }
            let path = folder.join(&listed.name);
            let mut to = File::create_new(&path).map_err(Error::io("create", &path))?;
            std::io::copy(&mut Read::by_ref(&mut from).take(listed.bytes), &mut to)
                .and_then(|_| to.sync_all())
                .map_err(Error::io("write", &path))?;
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
    }

    /// Looks into what was unpacked into `folder`.
    ///
    /// # Errors
    /// When it cannot be read as a state.
    pub(crate) fn summary(&self, folder: &Path) -> Result<Summary, Error> {
        let content = state::inspect(folder).map_err(Error::State)?;
        Ok(Summary {
            hash: content.hash,
            revision: content.revision,
            compacted_revision: content.compacted,
            keys: content.keys,
            bytes: self.bytes,
            version: self.manifest.version.clone(),
        })
    }
}

/// Compares the checksum of the first `length` bytes with what follows them.
fn verify(path: &Path, file: &mut File, length: u64) -> Result<[u8; 32], Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read", path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = length;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        file.read_exact(&mut buffer[..take]).map_err(Error::io("read", path))?;
        digest.update(&buffer[..take]);
        left -= take as u64;
    }
    let mut found = [0; SHA256_BYTES as usize];
    file.read_exact(&mut found).map_err(Error::io("read", path))?;
    if digest.finalize()[..] != found {
        return Err(Error::Checksum { path: path.to_owned() });
    }
    Ok(found)
}

/// Whether `folder` has nothing in it, or is not there.
pub(super) fn is_empty(folder: &Path) -> Result<bool, Error> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::Io { action: "list", path: folder.to_owned(), source: error }),
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;
    use keelson_proto::keelson::store::v1::snapshot_manifest;

    use super::*;

    /// A backup of these files, with whatever its manifest says of them.
    fn backup(manifest: &SnapshotManifest, content: &[u8]) -> Vec<u8> {
        let manifest = manifest.encode_to_vec();
        let length = u32::try_from(manifest.len()).expect("is short");
        let mut bytes = [&MAGIC[..], &FORMAT_VERSION.to_be_bytes(), &length.to_be_bytes(), &manifest, content].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        bytes
    }

    fn manifest(files: &[(&str, u64)]) -> SnapshotManifest {
        let file = |(name, bytes): &(&str, u64)| snapshot_manifest::File { name: (*name).to_owned(), bytes: *bytes };
        SnapshotManifest { files: files.iter().map(file).collect(), ..SnapshotManifest::default() }
    }

    #[test]
    fn a_length_that_cannot_be_is_told_and_not_added_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup");
        for bytes in [u64::MAX, u64::MAX - 100, u64::MAX - 600] {
            fs::write(&path, backup(&manifest(&[("CURRENT", bytes)]), b"")).expect("the folder takes files");
            let refused = Archive::open(&path).map(|_| ()).expect_err("it is longer than any file");
            assert!(matches!(refused, Error::NotABackup { .. } | Error::Length { .. }), "{refused}");
        }
    }

    /// Whoever changes a file can make its checksum fit.
    #[test]
    fn a_backup_of_any_bytes_is_refused_or_unpacked_within_its_folder() {
        let files = manifest(&[("CURRENT", 3), ("000001.sst", 5), ("empty", 0)]);
        let seeds = vec![backup(&files, b"abcdefgh"), backup(&manifest(&[]), b"")];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup");
        fuzz!(
            keelson_fuzzing::Bytes::new(
                seeds,
                &[b"../x", b"/", b"\x00", MAGIC, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
            ),
            |bytes| {
                let content = &bytes[..bytes.len().saturating_sub(SHA256_BYTES as usize)];
                let whole = [content, &Sha256::digest(content)[..]].concat();
                fs::write(&path, &whole).expect("the folder takes files");
                let Ok(archive) = Archive::open(&path) else { return false };
                assert_eq!((archive.bytes, &archive.sha256()[..]), (whole.len() as u64, &whole[content.len()..]));
                let into = tempfile::tempdir_in(folder.path()).expect("a folder");
                if archive.unpack(into.path()).is_err() {
                    return false;
                }
                let unpacked =
                    fs::read_dir(into.path()).expect("is listed").map(|file| file.expect("a file").metadata());
                let unpacked: u64 = unpacked.map(|file| file.expect("is there").len()).sum();
                assert_eq!(unpacked, archive.manifest.files.iter().map(|file| file.bytes).sum::<u64>());
                let beside = fs::read_dir(folder.path()).expect("is listed").count();
                assert_eq!(beside, 2, "the backup and the folder");
                true
            }
        );
    }
}
