//! `keelson agent`: nodes, simulated for now.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::dev::ready::tls;

/// Run nodes: register them, and run the pods that are bound to them.
///
/// The folder given by --pki-dir holds `api-ca.crt` and `agent.{crt,key}`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The API of every member: host:port,host:port,…
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// The folder with the certificates.
    #[arg(long)]
    pki_dir: PathBuf,
    /// How many simulated nodes this process hosts.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// The nodes are called PREFIX1, PREFIX2, …
    #[arg(long, default_value = "node-")]
    node_prefix: String,
    /// How often a node renews its lease.
    #[arg(long, default_value_t = 10)]
    lease_seconds: u64,
    /// Seeds what the simulated containers do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Arguments {
    /// Runs the nodes until the process is told to end.
    ///
    /// # Errors
    /// When the agent cannot start or fails.
    pub fn run(self) -> anyhow::Result<()> {
        crate::run::until_signalled(|shutdown| self.serve(shutdown))
    }

    async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let pem = |name: &str| self.pki_dir.join(name);
        let tls = tls(&(pem("api-ca.crt"), pem("agent.crt"), pem("agent.key")))?;
        let names = (1..=self.nodes).map(|number| format!("{}{number}", self.node_prefix)).collect();
        let options = keelson_agent::Options {
            lease_interval: Duration::from_secs(self.lease_seconds),
            seed: self.seed,
            ..keelson_agent::Options::new(names, self.endpoints, Some(tls))
        };
        Ok(keelson_agent::Service::new(options)?.run(shutdown).await?)
    }
}
