//! One pipeline behind both fronts: authenticate → authorize → decode → default → admit → validate → write.
//!
//! **Invariant**: whatever a request decides on is guarded by the transaction that writes it. Decisions are made from this
//! member's caches, which may lag; a decision that the store's state contradicts is made again, and an answer that would
//! write nothing (an error, or "unchanged") is given only from a state at least as new as the request.
//!
//! Nothing here knows HTTP or gRPC: fronts bring [`request`] values and take JSON text or a [`Status`] back.

mod admit;
mod authenticate;
mod authorize;
mod bootstrap;
mod components;
mod count;
mod decode;
mod definitions;
mod events;
mod expressions;
mod finalize;
mod impersonate;
mod list;
mod logs;
mod measure;
pub(crate) mod offer;
mod plan;
mod read;
pub mod request;
mod review;
mod scale;
mod sessions;
mod watch;
mod write;

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use keelson_store::Handle;
use keelson_types::Kind;
use keelson_types::status::Status;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cache::{Caches, Size};
use crate::custom::Served;
use crate::metrics::Metrics;
use crate::node_tunnel::Tunnels;
use crate::node_usage::Usages;
use crate::rbac::Live;

pub use authorize::Verb;
pub use list::{Items, List};
pub use logs::LogStream;
pub use request::*;
pub use sessions::{ExecRequest, PodSession};
pub use watch::{Change, ChangeKind, Watch, WatchItem};
pub use write::{BATCH_BYTES_MAX, Batch, Deleted, OPERATIONS_MAX};

use events::EventLeases;
use plan::Kinds;

/// The largest object, as stored.
pub const OBJECT_BYTES_MAX: usize = 3 << 19; // 1.5 MiB
/// The largest transaction that a batch may become, in bytes of objects. A binding is small, but writes its whole pod.
const TXN_BYTES_MAX: usize = 10 << 20;
/// What the store must take in one request for batches to fit: the objects, with their keys and guards.
pub const STORE_REQUEST_BYTES_MAX: usize = 14 << 20;
/// What the store must take as operations of one transaction: a Service's takes an address and ports beside itself.
pub const STORE_TXN_OPS_MAX: usize = 4 * OPERATIONS_MAX;
/// Services' addresses: 10.96.0.0/12.
const FIRST_CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
/// How much of each is the same.
const CLUSTER_IPS_BITS: u32 = 12;
/// How many there are; the first and the last are never given.
const CLUSTER_IPS_MAX: u32 = (1 << (u32::BITS - CLUSTER_IPS_BITS)) - 1;
/// The first of them are drawn last, so that those who ask for a fixed one mostly find it free.
const CLUSTER_IPS_RESERVED: u32 = 256;
/// Sessions with containers and connections to pods' ports at once. Each holds buffers of half a MiB at most.
const SESSIONS_MAX: usize = 1024;
/// What memory for transactions is counted in.
const WRITE_UNIT_BYTES: usize = 1 << 10;
/// Services' node ports.
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// What differs between installations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a pod stays on a node that is not ready or unreachable, unless it says; None leaves pods without.
    pub default_toleration_seconds: Option<u32>,
    /// What the transactions of writes in flight may hold in memory.
    pub in_flight_bytes_max: usize,
    /// The port at which the API is reached from outside.
    pub advertised_port: u16,
    /// Where the members' APIs are reached, host:port; the Service `kubernetes` leads there. Empty when that is not known.
    pub api_addresses: Vec<String>,
    pub clock: fn() -> Timestamp,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            default_toleration_seconds: Some(300),
            in_flight_bytes_max: 256 << 20,
            advertised_port: 6443,
            api_addresses: Vec::new(),
            clock: Timestamp::now,
        }
    }
}

/// The pipeline. Fronts share one by `Arc`; [`Peer`] is in the extensions of every request.
pub struct Pipeline {
    store: Handle,
    caches: Arc<Caches>,
    kinds: Kinds,
    settings: Settings,
    event_leases: EventLeases,
    roles: Live,
    tunnels: Arc<Tunnels>,
    usages: Usages,
    /// Places for sessions with containers.
    sessions: Arc<Semaphore>,
    /// Memory for transactions, in units of [`WRITE_UNIT_BYTES`].
    writes: Semaphore,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

impl Pipeline {
    /// A pipeline over caches that somebody else fills ([`crate::cache::run`]). Its watches end with `shutdown`.
    ///
    /// # Errors
    /// Internal, when a kind is not registered that the pipeline knows by name.
    pub fn new(
        store: Handle,
        caches: Arc<Caches>,
        tunnels: Arc<Tunnels>,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> Result<Pipeline, Status> {
        let kinds = Kinds::find()?;
        let event_leases = EventLeases::default();
        let roles = Live::new()?;
        let sessions = Arc::new(Semaphore::new(SESSIONS_MAX));
        let units = (settings.in_flight_bytes_max / WRITE_UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let writes = Semaphore::new(units);
        let metrics = Metrics::new();
        Ok(Pipeline {
            store,
            caches,
            kinds,
            settings,
            event_leases,
            roles,
            usages: Usages::new(tunnels.clone()),
            tunnels,
            sessions,
            writes,
            metrics,
            shutdown,
        })
    }

    /// Whether the caches are filled: this member can serve.
    pub fn is_ready(&self) -> bool {
        self.caches.revision() > 0
    }

    /// The kinds that are served now.
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.caches.served())
    }

    /// What the cached objects of each kind take, by the resource's name.
    pub fn cache_sizes(&self) -> Vec<(String, Size)> {
        self.caches.sizes()
    }

    /// What is counted of requests and watches.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Everything up to here is in the caches; 0 until they were filled.
    pub(crate) fn cached_revision(&self) -> i64 {
        self.caches.revision()
    }

    /// The kind by which to answer who asked for `kind`. A kind that users define may have been defined anew since the request
    /// was read, most of all by a member that had to catch up first.
    ///
    /// # Errors
    /// NotFound when it is defined no more; "try again" when its paths are others now.
    pub fn current(&self, kind: &'static Kind) -> Result<&'static Kind, Status> {
        if !kind.is_custom() {
            return Ok(kind);
        }
        let served = self.caches.served();
        if served.serves(kind) {
            return Ok(kind);
        }
        match served.registry.by_versioned_resource(kind.group, kind.version, kind.plural) {
            Some(found) if found.namespaced == kind.namespaced => Ok(found),
            Some(_) => Err(plan::redefined(kind)),
            None => Err(Status::no_such_path()),
        }
    }

    /// Waits until this member knows all that was acknowledged before.
    ///
    /// # Errors
    /// When the store cannot say, or the caches do not follow.
    pub async fn catch_up(&self) -> Result<(), Status> {
        self.await_version(ReadVersion::MostRecent).await
    }

    /// The store behind, for what is about the cluster rather than about objects.
    pub fn store(&self) -> &Handle {
        &self.store
    }

    pub fn tunnels(&self) -> &Arc<Tunnels> {
        &self.tunnels
    }

    /// Cancelled when the server stops: long answers end then.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }
}
