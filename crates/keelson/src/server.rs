//! `keelson server`: one member. Wires the store, the API and the loops together, and ends them in the opposite order.

mod api_limits;
mod corruption;
mod limits;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use keelson_client::Client;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::api_limits::ApiLimits;
use self::corruption::CorruptionChecks;
use self::limits::StoreLimits;
use crate::dev::ready::tls;

/// Run one member: store, API, scheduler and controllers in one process.
///
/// The folder given by --pki-dir holds `store-ca.crt` and `member.{crt,key}` for peers and etcd clients, `api-ca.crt` and
/// `api-server.{crt,key}` for users and nodes, `scheduler.{crt,key}` and `controllers.{crt,key}` for the member's own loops.
/// What users, nodes and etcd clients are served with is read again when it changes; the rest at the next start.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// This member's name; one of those in --initial-cluster.
    #[arg(long)]
    name: String,
    /// The folder that holds everything this member must not lose.
    #[arg(long)]
    data_dir: PathBuf,
    /// The folder with the certificates.
    #[arg(long)]
    pki_dir: PathBuf,
    /// Every member and where this one dials it: m1=host:port,m2=host:port,…
    #[arg(long, value_delimiter = ',', value_parser = parse_peer)]
    initial_cluster: Vec<keelson_store::Peer>,
    /// Whether the members of --initial-cluster found a new cluster, or this one joins one that was told of it (etcdctl member
    /// add). Matters only while --data-dir is empty: afterwards the cluster itself knows its members.
    #[arg(long, value_enum, default_value_t = InitialClusterState::New)]
    initial_cluster_state: InitialClusterState,
    /// Where users reach the API of each member, for the cluster's status: m1=host:port,m2=host:port,…
    #[arg(long, value_delimiter = ',', value_parser = parse_peer)]
    api_addresses: Vec<keelson_store::Peer>,
    /// Distinguishes clusters whose members have the same names.
    #[arg(long, default_value = "keelson")]
    cluster_token: String,
    /// Where peers reach this member.
    #[arg(long, default_value = "127.0.0.1:2380")]
    listen_peer: SocketAddr,
    /// Where etcd clients reach this member.
    #[arg(long, default_value = "127.0.0.1:2379")]
    listen_store: SocketAddr,
    /// Where users, nodes and kubectl reach this member.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen_api: SocketAddr,
    /// Serve /metrics, /health, /livez and /readyz in the clear here, too, for probes without a certificate: host:port,…
    #[arg(long, value_delimiter = ',')]
    listen_metrics: Vec<SocketAddr>,
    /// A leader whose disk has not finished a sync for so long hands leadership to a follower; 0 for never.
    #[arg(long, default_value_t = 1000)]
    sync_stall_milliseconds: u64,
    /// Do not read the whole state at the start to check its files; what is read later is always checked.
    #[arg(long)]
    skip_state_verification: bool,
    /// Open the etcd port without TLS. Refused unless --listen-store is a loopback address.
    #[arg(long)]
    insecure_store: bool,
    /// What clients of the etcd port show after they have authenticated, as etcd's option of this name: simple, or
    /// jwt,sign-method=…[,pub-key=FILE][,priv-key=FILE][,ttl=5m]. All members need the same.
    #[arg(long, default_value = "simple")]
    auth_token: keelson_store::auth::TokenKind,
    /// How long a simple token lives after its last use.
    #[arg(long, default_value_t = 300)]
    auth_token_ttl_seconds: u64,
    /// How much work a password's hash is; each step doubles it.
    #[arg(long, default_value_t = 10)]
    bcrypt_cost: u32,
    /// How long a node may miss its lease before it counts as not ready.
    #[arg(long, default_value_t = 40)]
    node_monitor_grace_seconds: u64,
    /// How long a pod without tolerations of its own stays bound to a node that is not ready.
    #[arg(long, default_value_t = 300)]
    pod_eviction_seconds: u32,
    /// The least time between two nodes that are given up; 0 for no limit.
    #[arg(long, default_value_t = 10)]
    node_eviction_interval_seconds: u64,
    /// The store takes a snapshot point, and purges the log before it, each time the log grew by so many entries.
    #[arg(long, default_value_t = 10_000)]
    snapshot_every_entries: u64,
    /// Log entries that are kept behind a snapshot point, so that a short lag never costs a snapshot.
    #[arg(long, default_value_t = 10_000)]
    log_entries_to_keep: u64,
    /// Of those, no more than take so many MiB. When the log has twice as many, a snapshot point is taken early.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    log_mib_to_keep: u32,
    #[command(flatten)]
    api_limits: ApiLimits,
    #[command(flatten)]
    store_limits: StoreLimits,
    #[command(flatten)]
    corruption_checks: CorruptionChecks,
    /// Threads that serve the etcd port and the other members, beside those of the log, of applying and of RocksDB. Default: half
    /// of the cores.
    #[arg(long)]
    store_threads: Option<NonZeroUsize>,
    /// Raise the alarm NOSPACE, which refuses new data, when a member's store holds more bytes than this on disk; 0 for no limit
    /// but the disk. What was compacted does not count, and the alarm ends by itself when space is back.
    #[arg(long, default_value_t = 0)]
    quota_backend_bytes: u64,
    /// Refuse to add or remove members when too few would have started or answer.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    strict_reconfig_check: bool,
}

/// How a member without data begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InitialClusterState {
    /// It founds a cluster with the other members.
    New,
    /// It joins a cluster.
    Existing,
}

/// `name=host:port`.
pub(crate) fn parse_peer(text: &str) -> Result<keelson_store::Peer, String> {
    let (name, address) = text.split_once('=').ok_or_else(|| format!("{text:?} is not name=host:port"))?;
    Ok(keelson_store::Peer { name: name.to_owned(), address: address.to_owned() })
}

impl Arguments {
    /// Runs the member until it is told to end.
    ///
    /// # Errors
    /// When a part cannot start or fails.
    pub fn run(self) -> anyhow::Result<()> {
        // What the API and the loops compute never delays a heartbeat, and a write passes through few threads.
        let store = crate::run::runtime("store", self.store_threads.unwrap_or_else(half_of_the_cores))?;
        crate::run::until_signalled(|shutdown| self.serve(store.handle().clone(), shutdown))
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.pki_dir.join(name)
    }

    fn store_options(&self) -> keelson_store::Options {
        let tls = keelson_store::Tls {
            ca: self.pki("store-ca.crt"),
            certificate: self.pki("member.crt"),
            key: self.pki("member.key"),
        };
        keelson_store::Options {
            cluster_token: self.cluster_token.clone(),
            store_tls: (!self.insecure_store).then(|| tls.clone()),
            insecure_store: self.insecure_store,
            listen_metrics: self.listen_metrics.clone(),
            sync_stall_limit: Duration::from_millis(self.sync_stall_milliseconds),
            verify_state: !self.skip_state_verification,
            // A batch of the API is one transaction; the etcd port keeps etcd's own limits.
            max_txn_ops: keelson_api::pipeline::STORE_TXN_OPS_MAX,
            max_request_bytes: keelson_api::pipeline::STORE_REQUEST_BYTES_MAX,
            queued_writes_max: self.store_limits.max_queued_writes as usize,
            queued_bytes_max: self.store_limits.queued_bytes_max(),
            auth: keelson_store::auth::Options {
                token: self.auth_token.clone(),
                token_ttl: Duration::from_secs(self.auth_token_ttl_seconds),
                bcrypt_cost: self.bcrypt_cost,
            },
            snapshot_every_entries: self.snapshot_every_entries,
            log_entries_to_keep: self.log_entries_to_keep,
            log_bytes_to_keep: u64::from(self.log_mib_to_keep) << 20,
            etcd: self.store_limits.limits(),
            corruption: self.corruption_checks.options(),
            join: self.initial_cluster_state == InitialClusterState::Existing,
            strict_reconfiguration: self.strict_reconfig_check,
            quota_bytes: self.quota_backend_bytes,
            ..keelson_store::Options::new(
                &self.name,
                &self.data_dir,
                self.initial_cluster.clone(),
                self.listen_peer,
                self.listen_store,
                tls,
            )
        }
    }

    async fn serve(self, store_runtime: Handle, shutdown: CancellationToken) -> anyhow::Result<()> {
        if self.initial_cluster.is_empty() {
            bail!("--initial-cluster is missing: --initial-cluster {}={}", self.name, self.listen_peer);
        }
        tracing::info!(name = self.name, data_dir = %self.data_dir.display(), "opening the store");
        let mut opening = store_runtime.spawn(keelson_store::Store::open(self.store_options()));
        let opened = tokio::select! {
            // It may look for the others, or compare all data with theirs.
            () = shutdown.cancelled() => {
                opening.abort();
                return Ok(());
            }
            opened = &mut opening => opened,
        };
        let (store, store_service) = opened.context("opening the store panicked")??;
        let (stop_store, stop_api, stop_loops) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let mut services = JoinSet::new();
        {
            let stop = stop_store.clone();
            let run = async move { ("store", store_service.run(stop).await.map_err(anyhow::Error::from)) };
            services.spawn_on(run, &store_runtime);
        }
        let api = keelson_api::Service::bind(self.api_options()?, store.clone()).await?;
        {
            let stop = stop_api.clone();
            services.spawn(async move {
                api.run(stop).await;
                ("API", Ok(()))
            });
        }
        let controllers = keelson_controllers::Service::new(self.controller_options(store.leadership())?);
        let scheduler = keelson_scheduler::Service::new(keelson_scheduler::Options::new(
            self.own_client("scheduler")?,
            store.leadership(),
            controllers.nodes(),
            controllers.pods(),
        ));
        {
            let stop = stop_loops.clone();
            services.spawn(async move { ("scheduler", scheduler.run(stop).await.map_err(anyhow::Error::from)) });
        }
        {
            let stop = stop_loops.clone();
            services.spawn(async move { ("controllers", controllers.run(stop).await.map_err(anyhow::Error::from)) });
        }
        tracing::info!(
            name = self.name,
            api = %self.listen_api,
            store = %self.listen_store,
            peer = %self.listen_peer,
            "serving"
        );
        // A part that ends by itself, with or without an error, ends the member: the others cannot do its work.
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = services.join_next() => ended,
        };
        // The loops first, then the API that they use, then the store beneath it, which hands leadership over.
        let mut first_error = failed.map(outcome);
        for stop in [stop_loops, stop_api, stop_store] {
            stop.cancel();
            // Two loops share the first token; the rest is awaited below.
            tokio::task::yield_now().await;
        }
        while let Some(ended) = services.join_next().await {
            let result = outcome(ended);
            if result.is_err() && first_error.as_ref().is_none_or(Result::is_ok) {
                first_error = Some(result);
            }
        }
        first_error.unwrap_or(Ok(()))
    }

    fn api_options(&self) -> anyhow::Result<keelson_api::Options> {
        let tls = keelson_api::tls::Files {
            ca: self.pki("api-ca.crt"),
            certificate: self.pki("api-server.crt"),
            key: self.pki("api-server.key"),
        };
        let mut options = keelson_api::Options {
            api_addresses: self.api_addresses.iter().cloned().map(|peer| (peer.name, peer.address)).collect(),
            default_toleration_seconds: Some(self.pod_eviction_seconds),
            ..keelson_api::Options::new(self.listen_api, tls)
        };
        self.api_limits.apply_to(&mut options);
        Ok(options)
    }

    fn controller_options(
        &self,
        leadership: tokio::sync::watch::Receiver<keelson_types::Leadership>,
    ) -> anyhow::Result<keelson_controllers::Options> {
        let defaults = keelson_controllers::Options::new(self.own_client("controllers")?, leadership);
        let grace = Duration::from_secs(self.node_monitor_grace_seconds);
        let authority = self.pki("api-ca.crt");
        let root_ca =
            std::fs::read_to_string(&authority).with_context(|| format!("reading {}", authority.display()))?;
        Ok(keelson_controllers::Options {
            root_ca: Some(root_ca),
            node_monitor_grace: grace,
            // Often enough that a look late costs little of the grace.
            node_monitor_period: defaults.node_monitor_period.min(grace / 5),
            missing_node_quarantine: grace,
            pod_eviction_after: Duration::from_secs(self.pod_eviction_seconds.into()),
            node_eviction_interval: Duration::from_secs(self.node_eviction_interval_seconds),
            ..defaults
        })
    }

    /// A client of this member's own API, as one of its loops.
    fn own_client(&self, user: &str) -> anyhow::Result<Client> {
        let port = self.listen_api.port();
        let address = if self.listen_api.ip().is_unspecified() {
            format!("127.0.0.1:{port}")
        } else {
            self.listen_api.to_string()
        };
        let pem = |name: String| -> PathBuf { self.pki(&name) };
        let tls = tls(&(pem("api-ca.crt".into()), pem(format!("{user}.crt")), pem(format!("{user}.key"))))
            .with_context(|| format!("the {user} has no certificate"))?;
        let options = keelson_client::Options {
            tls: Some(tls),
            field_manager: user.to_owned(),
            ..keelson_client::Options::new([address])
        };
        Ok(Client::connect(options)?)
    }
}

/// The log, applying and RocksDB have threads of their own.
fn half_of_the_cores() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
}

fn outcome(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Result<()> {
    let (name, result) = ended.context("a part of this member panicked")?;
    result.with_context(|| format!("the {name} failed"))
}
