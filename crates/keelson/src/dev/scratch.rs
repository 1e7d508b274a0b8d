//! A local cluster of its own for a test or a benchmark: temporary data on a real disk, free ports, gone afterwards.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Cluster, Spec, ready};

/// How long a scratch cluster may take to become ready, on a machine that is busy with other tests.
pub const READY_WITHIN: Duration = Duration::from_secs(180);
/// Ports of one member are ten apart from the next one's.
const PORTS_PER_MEMBER: u16 = 10;
/// How many places are looked at for free ports.
const PLACES: usize = 200;

/// A cluster that is ended and erased when dropped.
pub struct Scratch {
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Scratch {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Scratch {
    /// Lays a cluster out without starting it. Its ports replace those in `spec`.
    ///
    /// # Errors
    /// When there are no free ports or a file cannot be written.
    pub fn lay_out(spec: Spec) -> anyhow::Result<Self> {
        let members = u16::try_from(spec.members).context("too many members")?;
        let base = free_ports(PORTS_PER_MEMBER * members)?;
        Self::lay_out_at(base, spec)
    }

    /// Lays a cluster out on the ports from `base`, which must come from [`free_ports`].
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn lay_out_at(base: u16, spec: Spec) -> anyhow::Result<Self> {
        Self::lay_out_program(&program("keelson")?, base, spec)
    }

    fn lay_out_program(program: &Path, base: u16, spec: Spec) -> anyhow::Result<Self> {
        let folder = tempfile::TempDir::new_in(folder()?)?;
        let spec = Spec { api_port: base, store_port: base + 1, peer_port: base + 2, ..spec };
        let cluster = Cluster::open_or_create(folder.path(), spec, program)?;
        Ok(Self { cluster, _folder: folder })
    }

    /// Lays a cluster out, starts all of it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(spec: Spec) -> anyhow::Result<Self> {
        let scratch = Self::lay_out(spec)?;
        scratch.start_all().await?;
        Ok(scratch)
    }

    /// As [`Self::start`], with a `keelson` that was built elsewhere.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_program(program: &Path, spec: Spec) -> anyhow::Result<Self> {
        let base = free_ports(PORTS_PER_MEMBER * u16::try_from(spec.members).context("too many members")?)?;
        let scratch = Self::lay_out_program(program, base, spec)?;
        scratch.start_all().await?;
        Ok(scratch)
    }

    /// Starts every process that does not run and waits until all is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_all(&self) -> anyhow::Result<()> {
        for index in 0..self.spec().members {
            self.start_member(index)?;
        }
        let deadline = Instant::now() + READY_WITHIN;
        ready::control_plane(self, deadline, |_| {}).await?;
        self.start_agent()?;
        ready::nodes(self, deadline, |_| {}).await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for process in self.cluster.members().chain([self.cluster.agent()]).filter(|process| process.pid().is_some()) {
            if std::thread::panicking() {
                eprintln!("--- the last of the log of {}:\n{}", process.name(), process.log_tail());
            }
            if let Err(error) = process.kill() {
                eprintln!("{} is left running: {error}", process.name());
            }
        }
    }
}

/// A program of this workspace, which lies beside this one (or beside its folder `deps`, for a test).
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = build_folder()?.join(name);
    anyhow::ensure!(path.is_file(), "there is no {}; `make build` makes it", path.display());
    Ok(path)
}

fn build_folder() -> anyhow::Result<PathBuf> {
    let mut folder = std::env::current_exe().context("cannot find the path of this program")?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

/// Where temporary data lies: on the disk of the build products, never in a RAM disk, because fsync must cost what it costs.
///
/// # Errors
/// When it cannot be made.
pub fn folder() -> anyhow::Result<PathBuf> {
    let folder = build_folder()?.join("scratch");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The first of `count` ports that are free now. Below the range from which the system takes ports for connections, and
/// apart for those that ask at the same time: processes by their ids, threads of this one by what was handed out before.
///
/// # Errors
/// When there are none.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    static HANDED_OUT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 80).unwrap_or(0) * 100;
    // What is passed over, because somebody has it, is handed out as well: the next thread must not find the same ports behind it.
    (0..PLACES)
        .map(|_| first + HANDED_OUT.fetch_add(count, Ordering::Relaxed) % 2_000)
        .find(|base| (*base..base + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()))
        .context("no free ports between 20000 and 30000")
}
