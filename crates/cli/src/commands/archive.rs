//! What `cp` sends and receives, between files and the network.

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

const PIECE_BYTES: usize = 64 << 10;

pub(super) fn pack(from: &Path, folder: bool, name: &str, sender: mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(std::io::BufWriter::with_capacity(PIECE_BYTES, Sent(sender)));
    // A link is sent as one: what it points to may be outside, or around it.
    builder.follow_symlinks(false);
    if folder {
        builder.append_dir_all(name, from)?;
    } else {
        builder.append_path_with_name(from, name)?;
    }
    builder.into_inner()?.flush()
}

/// Unpacks what is below `prefix` to `target`, and counts it. Nothing gets out of it, and only files and folders are made.
pub(super) fn unpack(archive: Received, prefix: &Path, target: &Path) -> std::io::Result<usize> {
    let mut unpacked = 0;
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(inner) = within(&path) else { continue };
        let Ok(below) = inner.strip_prefix(prefix) else { continue };
        let to = if below.as_os_str().is_empty() { target.to_owned() } else { target.join(below) };
        match entry.header().entry_type() {
            tar::EntryType::Directory => std::fs::create_dir_all(&to)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                if let Some(parent) = to.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::io::copy(&mut entry, &mut std::fs::File::create(&to)?)?;
            }
            _ => {
                eprintln!("warning: skipping {}: neither a file nor a folder", path.display());
                continue;
            }
        }
        unpacked += 1;
    }
    Ok(unpacked)
}

/// A name in an archive without `/` and `./` before it; none for one that leads out.
fn within(path: &Path) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => inner.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(inner)
}

struct Sent(mpsc::Sender<Bytes>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map(|()| bytes.len()).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Received {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Received {
    pub fn new(pieces: mpsc::Receiver<Bytes>) -> Received {
        Received { pieces, rest: Bytes::new() }
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.pieces.blocking_recv().unwrap_or_default();
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        assert_eq!(within(Path::new("./a/b")), Some("a/b".into()));
        assert_eq!(within(Path::new("a/../../b")), None);
    }

    #[test]
    fn links_are_sent_as_links() {
        let folder = tempfile::tempdir().expect("a folder");
        // Followed, this one would never end.
        std::os::unix::fs::symlink(".", folder.path().join("around")).expect("is made");
        let (sender, mut archive) = mpsc::channel(16);
        pack(folder.path(), true, "data", sender).expect("is packed");
        let mut bytes = Vec::new();
        while let Ok(piece) = archive.try_recv() {
            bytes.extend_from_slice(&piece);
        }
        let mut read = tar::Archive::new(bytes.as_slice());
        let entries = read.entries().expect("is an archive").map(|entry| entry.expect("is whole"));
        let kinds: Vec<tar::EntryType> = entries.map(|entry| entry.header().entry_type()).collect();
        assert_eq!(kinds, [tar::EntryType::Directory, tar::EntryType::Symlink]);
    }

    #[test]
    fn an_archive_stays_within_its_target() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["data/good", "other/skipped", "data/deep/file"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(2);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &b"ok"[..]).expect("is appended");
        }
        let mut bytes = builder.into_inner().expect("is whole");
        // A name that the library refuses to write.
        let place = bytes.windows(9).position(|window| window == b"data/good").expect("is there");
        let evil = bytes[place..place + 1024].to_vec();
        let mut evil_header = tar::Header::from_byte_slice(&evil[..512]).clone();
        evil_header.as_mut_bytes()[..12].copy_from_slice(b"data/../evil");
        evil_header.set_cksum();
        bytes.splice(0..0, [evil_header.as_bytes().as_slice(), &evil[512..1024]].concat());
        let (sender, archive) = mpsc::channel(1);
        sender.try_send(Bytes::from(bytes)).expect("has room");
        drop(sender);
        let target = folder.path().join("target");
        assert_eq!(unpack(Received::new(archive), Path::new("data"), &target).expect("is unpacked"), 2);
        assert!(target.join("good").is_file() && target.join("deep/file").is_file());
        assert!(!folder.path().join("evil").exists() && !target.join("skipped").exists());
    }
}
