//! What all works have in common: which clusters, how many runs, how long.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::load::Window;
use crate::side::Kind;

/// The most pairs of runs; far more than any median needs.
const PAIRS_MAX: usize = 100;
/// The longest that one run may measure.
const SECONDS_MAX: f64 = 3_600.0;

/// Options of every work.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many pairs of runs, one run on each cluster; with --only, how many runs.
    #[arg(long, global = true, default_value_t = 5)]
    pub pairs: usize,
    /// How long one run is measured.
    #[arg(long, global = true, default_value_t = 5.0)]
    pub seconds: f64,
    /// How long each run goes on before it is measured.
    #[arg(long, global = true, default_value_t = 1.0)]
    pub warm_up_seconds: f64,
    /// How many steps a run must count, however long that takes; for tests.
    #[arg(skip)]
    pub steps_min: u64,
    /// How many members each cluster has.
    #[arg(long, global = true, default_value_t = 3)]
    pub members: usize,
    /// TLS with client certificates for both, instead of clear text for both.
    #[arg(long, global = true)]
    pub tls: bool,
    /// Measure one of them alone.
    #[arg(long, global = true, value_enum)]
    pub only: Option<Only>,
    /// The `keelson` to be measured, instead of the one beside this program.
    #[arg(long, global = true, value_name = "PATH")]
    pub keelson: Option<PathBuf>,
    /// The etcd to be measured, instead of the one that `scripts/install test` fetches.
    #[arg(long, global = true, value_name = "PATH")]
    pub etcd: Option<PathBuf>,
    /// Write all figures of all runs to this file, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the ratios to this file, as SVG.
    #[arg(long, global = true, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    Ours,
    Etcd,
}

impl Options {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names what is out of its range.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=PAIRS_MAX).contains(&self.pairs), "--pairs is from 1 to {PAIRS_MAX}");
        ensure!(self.seconds > 0.0 && self.seconds <= SECONDS_MAX, "--seconds is above 0 and at most {SECONDS_MAX}");
        let warm_up = self.warm_up_seconds;
        ensure!((0.0..=SECONDS_MAX).contains(&warm_up), "--warm-up-seconds is from 0 to {SECONDS_MAX}");
        ensure!([1, 3, 5, 7].contains(&self.members), "--members is 1, 3, 5 or 7");
        Ok(())
    }

    /// Which clusters to start, the peer first.
    pub fn kinds(&self) -> Vec<Kind> {
        match self.only {
            None => vec![Kind::Etcd, Kind::Keelson],
            Some(Only::Ours) => vec![Kind::Keelson],
            Some(Only::Etcd) => vec![Kind::Etcd],
        }
    }

    /// How long one run is.
    pub fn window(&self) -> Window {
        Window {
            warm_up: Duration::from_secs_f64(self.warm_up_seconds),
            measured: Duration::from_secs_f64(self.seconds),
            steps_min: self.steps_min,
        }
    }

    /// The `keelson` to be measured.
    ///
    /// # Errors
    /// When it is not there.
    pub fn keelson_program(&self) -> anyhow::Result<PathBuf> {
        let Some(path) = &self.keelson else { return keelson::dev::scratch::program("keelson") };
        ensure!(path.is_file(), "there is no {}", path.display());
        Ok(path.clone())
    }

    /// The etcd to be measured.
    ///
    /// # Errors
    /// When it is not there.
    pub fn etcd_program(&self) -> anyhow::Result<PathBuf> {
        match &self.etcd {
            Some(path) => {
                ensure!(path.is_file(), "there is no {}", path.display());
                Ok(path.clone())
            }
            None => tool("etcd-3.5/etcd"),
        }
    }
}

/// A program that `scripts/install test` fetches.
///
/// # Errors
/// When it is not there.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let tools = std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/keelson/tools"))
    });
    let path = tools.context("neither KEELSON_TOOLS nor HOME is set")?.join(name);
    ensure!(path.is_file(), "there is no {}; `scripts/install test` fetches it", path.display());
    Ok(path)
}
