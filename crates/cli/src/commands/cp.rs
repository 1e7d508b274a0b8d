//! `cp`: files into a container and out of it, as an archive that `tar` there reads or writes.

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use bytes::{Buf as _, Bytes};
use clap::Args;
use keelson_client::{SessionEvent, proto};
use tokio::sync::mpsc;

use super::exec;
use crate::Error;
use crate::context::Context;

/// Pieces of the archive between the file system and the network.
const QUEUE_MAX: usize = 16;
const PIECE_BYTES: usize = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  keelctl cp settings.toml web-1:/etc/app/settings.toml
  keelctl cp shop/web-1:/var/log ./logs -c main

The container needs a `tar`.";

/// Copy files to and from containers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cp {
    /// A local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "FROM")]
    from: String,

    /// A local path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "TO")]
    to: String,

    /// Which container; the first one without it
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Local(PathBuf),
    Pod { namespace: Option<String>, pod: String, path: String },
}

impl Cp {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        match (place(&self.from)?, place(&self.to)?) {
            (Place::Local(from), Place::Pod { namespace, pod, path }) => {
                context.use_namespace(namespace);
                self.upload(&from, &pod, &path, context).await
            }
            (Place::Pod { namespace, pod, path }, Place::Local(to)) => {
                context.use_namespace(namespace);
                self.download(&pod, &path, &to, context).await
            }
            _ => Err(Error::Usage("one of FROM and TO is local, the other is POD:PATH".to_owned())),
        }
    }

    async fn upload(&self, from: &Path, pod: &str, path: &str, context: &mut Context) -> Result<(), Error> {
        let metadata = std::fs::metadata(from).map_err(|source| Error::File { path: from.to_owned(), source })?;
        let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Into a folder that is there, or as what is named.
        let test = ["test", "-d", path].map(str::to_owned).to_vec();
        let inside = self.exec(pod, test, None, context).await.is_ok();
        let (folder, name) = match (inside, path.trim_end_matches('/').rsplit_once('/')) {
            (true, _) => (path.to_owned(), name),
            (false, Some(("", last))) => ("/".to_owned(), last.to_owned()),
            (false, Some((folder, last))) => (folder.to_owned(), last.to_owned()),
            (false, None) => (".".to_owned(), path.to_owned()),
        };
        let (sender, archive) = mpsc::channel(QUEUE_MAX);
        let source = from.to_owned();
        let packing = tokio::task::spawn_blocking(move || pack(&source, metadata.is_dir(), &name, sender));
        let command = ["tar", "-xmf", "-", "-C", &folder].map(str::to_owned).to_vec();
        let unpacked = self.exec(pod, command, Some(archive), context).await.map(|_| ());
        let packed = packing.await.map_err(|error| Error::Failed(error.to_string()))?;
        // What the other side says explains why nobody took the archive.
        unpacked?;
        packed.map_err(|source| Error::File { path: from.to_owned(), source })
    }

    async fn download(&self, pod: &str, path: &str, to: &Path, context: &mut Context) -> Result<(), Error> {
        let command = ["tar", "cf", "-", path].map(str::to_owned).to_vec();
        let start = exec::start(pod, self.container.as_deref(), (false, false), context).await?;
        let start = proto::ExecStart { session: Some(start), command };
        let (_input, mut output) = context.client()?.pods_exec(start).await?;
        let (sender, archive) = mpsc::channel(QUEUE_MAX);
        let name = Path::new(path).file_name().map(PathBuf::from).unwrap_or_default();
        let target = if to.is_dir() { to.join(name) } else { to.to_owned() };
        let prefix = PathBuf::from(path.trim_matches('/'));
        let unpacking = tokio::task::spawn_blocking(move || unpack(Received::new(archive), &prefix, &target));
        let ended = loop {
            match output.next().await? {
                Some(SessionEvent::Stdout(data)) => {
                    // It stops taking when it has failed.
                    let _ = sender.send(data).await;
                }
                Some(SessionEvent::Stderr(data)) => context.error_bytes(&data)?,
                Some(SessionEvent::End(result)) => break result,
                None => return Err(Error::Failed("the session broke off".to_owned())),
            }
        };
        drop(sender);
        let unpacked = unpacking.await.map_err(|error| Error::Failed(error.to_string()))?;
        finish(ended)?;
        unpacked.map_err(|source| Error::File { path: to.to_owned(), source })
    }

    /// Runs a command that is fed with `input`.
    async fn exec(
        &self,
        pod: &str,
        command: Vec<String>,
        mut input: Option<mpsc::Receiver<Bytes>>,
        context: &mut Context,
    ) -> Result<(), Error> {
        let start = exec::start(pod, self.container.as_deref(), (input.is_some(), false), context).await?;
        let start = proto::ExecStart { session: Some(start), command };
        let (to, mut output) = context.client()?.pods_exec(start).await?;
        let feeding = async {
            while let Some(piece) = match &mut input {
                Some(input) => input.recv().await,
                None => None,
            } {
                to.stdin(piece).await;
            }
            to.stdin_end().await;
        };
        tokio::pin!(feeding);
        let mut fed = false;
        loop {
            let event = tokio::select! {
                event = output.next() => event?,
                () = &mut feeding, if !fed => {
                    fed = true;
                    continue;
                }
            };
            match event {
                Some(SessionEvent::Stdout(_)) => {}
                Some(SessionEvent::Stderr(data)) => context.error_bytes(&data)?,
                Some(SessionEvent::End(result)) => return finish(result),
                None => return Err(Error::Failed("the session broke off".to_owned())),
            }
        }
    }
}

fn finish(result: proto::SessionResult) -> Result<(), Error> {
    match (result.error.is_empty(), result.exit_code) {
        (false, _) => Err(Error::Failed(result.error)),
        (true, 0) => Ok(()),
        (true, code) => Err(Error::Exited(code)),
    }
}

fn place(text: &str) -> Result<Place, Error> {
    // A path that begins with one of these is local, colons or not.
    let local = text.starts_with(['/', '.', '~']);
    let Some((pod, path)) = text.split_once(':').filter(|_| !local) else {
        return Ok(Place::Local(PathBuf::from(text)));
    };
    if path.is_empty() {
        return Err(Error::Usage(format!("{text:?} names no path in the container")));
    }
    let (namespace, pod) = match pod.split_once('/') {
        Some((namespace, pod)) => (Some(namespace.to_owned()), pod),
        None => (None, pod),
    };
    Ok(Place::Pod { namespace, pod: pod.to_owned(), path: path.to_owned() })
}

fn pack(from: &Path, folder: bool, name: &str, sender: mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(std::io::BufWriter::with_capacity(PIECE_BYTES, Sent(sender)));
    if folder {
        builder.append_dir_all(name, from)?;
    } else {
        builder.append_path_with_name(from, name)?;
    }
    builder.into_inner()?.flush()
}

/// Unpacks what is below `prefix` to `target`. Nothing gets out of it, and only files and folders are made.
fn unpack(archive: Received, prefix: &Path, target: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Ok(below) = path.strip_prefix(prefix) else { continue };
        if below.components().any(|part| !matches!(part, Component::Normal(_))) {
            continue;
        }
        let to = if below.as_os_str().is_empty() { target.to_owned() } else { target.join(below) };
        match entry.header().entry_type() {
            tar::EntryType::Directory => std::fs::create_dir_all(&to)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                if let Some(parent) = to.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::io::copy(&mut entry, &mut std::fs::File::create(&to)?)?;
            }
            _ => eprintln!("warning: skipping {}: neither a file nor a folder", path.display()),
        }
    }
    Ok(())
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

struct Received {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Received {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Received {
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
    fn a_place_is_local_or_in_a_pod() {
        let pod = |namespace: Option<&str>, pod: &str, path: &str| Place::Pod {
            namespace: namespace.map(str::to_owned),
            pod: pod.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(place("p:/tmp/x").expect("is one"), pod(None, "p", "/tmp/x"));
        assert_eq!(place("n/p:x").expect("is one"), pod(Some("n"), "p", "x"));
        assert_eq!(place("./a:b").expect("is one"), Place::Local("./a:b".into()));
        assert_eq!(place("file").expect("is one"), Place::Local("file".into()));
        assert!(place("p:").is_err());
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
        unpack(Received::new(archive), Path::new("data"), &target).expect("is unpacked");
        assert!(target.join("good").is_file() && target.join("deep/file").is_file());
        assert!(!folder.path().join("evil").exists() && !target.join("skipped").exists());
    }
}
