//! `cp`: files into a container and out of it, as an archive that `tar` there reads or writes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use keelson_client::{SessionEvent, proto};
use tokio::sync::mpsc;

use super::archive::{Received, pack, unpack};
use super::exec;
use crate::Error;
use crate::context::Context;

/// Pieces of the archive between the file system and the network.
const QUEUE_MAX: usize = 16;

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
        let metadata =
            std::fs::symlink_metadata(from).map_err(|source| Error::File { path: from.to_owned(), source })?;
        let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Into a folder that is there, or as what is named.
        let test = ["test", "-d", path].map(str::to_owned).to_vec();
        let inside = is_folder(self.exec(pod, test, None, context).await)?;
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
        let (path, prefix) = normal(path);
        let command = ["tar", "cf", "-", &path].map(str::to_owned).to_vec();
        let start = exec::start(pod, self.container.as_deref(), (false, false), context).await?;
        let start = proto::ExecStart { session: Some(start), command };
        let (_input, mut output) = context.client()?.pods_exec(start).await?;
        let (sender, archive) = mpsc::channel(QUEUE_MAX);
        let name = prefix.file_name().map(PathBuf::from).unwrap_or_default();
        let target = if to.is_dir() { to.join(name) } else { to.to_owned() };
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
        match unpacked {
            Ok(0) => Err(Error::Failed(format!("the container's tar sent no file and no folder of {path:?}"))),
            Ok(_) => Ok(()),
            Err(source) => Err(Error::File { path: to.to_owned(), source }),
        }
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

/// What the end of `test -d` says. A container without `test` has no folder that could be known.
fn is_folder(probed: Result<(), Error>) -> Result<bool, Error> {
    match probed {
        Ok(()) => Ok(true),
        Err(Error::Exited(_)) => Ok(false),
        // As runtimes tell it.
        Err(Error::Failed(why)) if why.contains("exec: \"test\": executable file not found") => Ok(false),
        Err(error) => Err(error),
    }
}

/// A path in a container without `.`, `..` and empty parts, and what a `tar` there puts before the names of what is below.
fn normal(path: &str) -> (String, PathBuf) {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let asked = match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    };
    // A `tar` leaves out what leads out of where it is.
    (asked, parts.into_iter().filter(|part| *part != "..").collect())
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
    fn a_path_is_asked_for_as_its_archive_names_it() {
        for (path, asked, prefix) in [
            ("/tmp//a/../b/", "/tmp/b", "tmp/b"),
            ("/../etc", "/etc", "etc"),
            ("a/./b", "a/b", "a/b"),
            ("../a/../b", "../b", "b"),
            ("../../a", "../../a", "a"),
            ("a/..", ".", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(normal(path), (asked.to_owned(), PathBuf::from(prefix)), "{path}");
        }
    }

    #[test]
    fn only_a_probe_that_ran_says_that_there_is_no_folder() {
        assert!(is_folder(Ok(())).expect("it is known"));
        assert!(!is_folder(Err(Error::Exited(1))).expect("it is known"));
        let failed = |why: &str| is_folder(Err(Error::Failed(why.to_owned())));
        assert!(!failed("cannot start: exec: \"test\": executable file not found in $PATH").expect("it is known"));
        assert!(failed("the session broke off").is_err());
    }
}
