//! `keelson store snapshot`: one file with everything that a member's store holds.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use keelson_store::{Peer, Tls, backup};

use crate::server::parse_peer;

/// What to do with a backup.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Save everything that one member holds into a file, and verify it
    ///
    /// The file is in the format that `etcdctl snapshot save` gets from a member, too.
    Save(Save),
    /// Verify a backup, and show what it holds
    Status(Status),
    /// Make the data folder of one member of a new cluster from a backup
    ///
    /// Run it once for each member of the new cluster, with the same file, --initial-cluster and --cluster-token; then start
    /// them as usual. Keys, revisions and leases are kept; members, alarms and the cluster's id are new.
    Restore(Restore),
}

/// How to save.
#[derive(Debug, Args)]
pub struct Save {
    /// The file to write
    file: PathBuf,
    /// The member's etcd port
    #[arg(long, default_value = "https://127.0.0.1:2379", value_name = "URL")]
    endpoint: String,
    /// The authority that signed the member's certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// A client's certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its key, a PEM file
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// What to look at.
#[derive(Debug, Args)]
pub struct Status {
    /// The backup
    file: PathBuf,
    /// A folder with room for as many bytes again, for the time of looking
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

/// What to make.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The new member's data folder; it must be absent or empty
    #[arg(long)]
    data_dir: PathBuf,
    /// The new member's name; one of those in --initial-cluster
    #[arg(long)]
    name: String,
    /// Every member of the new cluster and where it is dialled: m1=host:port,m2=host:port,…
    #[arg(long, required = true, value_delimiter = ',', value_parser = parse_peer)]
    initial_cluster: Vec<Peer>,
    /// Distinguishes clusters whose members have the same names; the members must be started with the same
    #[arg(long, default_value = "keelson")]
    cluster_token: String,
    /// Add so much to the revision, so that clients which know later ones than the backup's do not see it go back
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    bump_revision: i64,
    /// Forget all versions but the newest, so that clients which cached others read everything anew
    #[arg(long)]
    mark_compacted: bool,
}

impl Snapshot {
    /// Does it.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Save(save) => save.run(),
            Self::Status(status) => {
                let scratch = status.scratch.unwrap_or_else(std::env::temp_dir);
                print(&backup::status(&status.file, &scratch)?);
                Ok(())
            }
            Self::Restore(restore) => restore.run(),
        }
    }
}

impl Save {
    fn run(self) -> anyhow::Result<()> {
        let tls = match (self.cacert, self.cert, self.key) {
            (Some(ca), Some(certificate), Some(key)) => Some(Tls { ca, certificate, key }),
            (None, None, None) => None,
            _ => bail!("--cacert, --cert and --key belong together"),
        };
        if tls.is_none() && self.endpoint.starts_with("https://") {
            bail!("{} needs --cacert, --cert and --key", self.endpoint);
        }
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
            "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        )?);
        let progress = |done: u64, remaining: u64| {
            bar.set_length(done + remaining);
            bar.set_position(done);
        };
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        let fetched = runtime.block_on(backup::fetch(&self.endpoint, tls.as_ref(), &self.file, progress))?;
        bar.finish_and_clear();
        println!(
            "saved {} ({} bytes, revision {}), SHA-256 {} verified",
            self.file.display(),
            fetched.bytes,
            fetched.revision,
            fetched.sha256
        );
        Ok(())
    }
}

impl Restore {
    fn run(self) -> anyhow::Result<()> {
        let restored = backup::restore(&backup::Restore {
            file: self.file,
            data_dir: self.data_dir.clone(),
            name: self.name,
            cluster_token: self.cluster_token,
            peers: self.initial_cluster,
            bump_revision: self.bump_revision,
            mark_compacted: self.mark_compacted,
        })?;
        print(&restored);
        println!("restored into {}", absolute(&self.data_dir).display());
        Ok(())
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

pub(super) fn print(summary: &backup::Summary) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "HASH",
        "REVISION",
        "COMPACTED",
        "TOTAL KEYS",
        "TOTAL SIZE",
        "VERSION",
    ]);
    table.add_row([
        format!("{:08x}", summary.hash),
        summary.revision.to_string(),
        summary.compacted_revision.to_string(),
        summary.keys.to_string(),
        indicatif::BinaryBytes(summary.bytes).to_string(),
        summary.version.clone(),
    ]);
    println!("{table}");
}
