//! All controllers together.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use keelson_client::Client;
use keelson_client::events::Recorder;
use keelson_client::reflector::Cache;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::driver::{Controller, Environment, drive};
use crate::metrics::{Counters, Metrics};
use crate::{
    Options, deployment, endpoint_slice, garbage, namespace, node_lifecycle, pod_gc, replica_set, root_ca,
    service_account,
};

/// Why the controllers stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a controller ended unexpectedly")]
    Ended(#[source] tokio::task::JoinError),
}

/// The name under which the controllers write.
const COMPONENT: &str = "kube-controller-manager";

/// All controllers, not yet running.
pub struct Service {
    options: Options,
    client: Client,
    caches: Caches,
    metrics: Arc<[(&'static str, Arc<Metrics>)]>,
}

/// Reads what the controllers count.
#[derive(Clone)]
pub struct Handle {
    metrics: Arc<[(&'static str, Arc<Metrics>)]>,
}

impl Handle {
    /// Counters by controller.
    pub fn counters(&self) -> Vec<(&'static str, Counters)> {
        self.metrics.iter().map(|(name, metrics)| (*name, metrics.read())).collect()
    }
}

const NAMES: [&str; 10] = [
    deployment::Loop::NAME,
    replica_set::Loop::NAME,
    endpoint_slice::Loop::NAME,
    node_lifecycle::Loop::NAME,
    node_lifecycle::evict::Loop::NAME,
    pod_gc::Loop::NAME,
    namespace::Loop::NAME,
    garbage::Loop::NAME,
    service_account::Loop::NAME,
    root_ca::Loop::NAME,
];

impl Service {
    /// Begins to fill the caches. Must be called inside a tokio runtime.
    pub fn new(options: Options) -> Self {
        let client = options.client.with_field_manager(COMPONENT);
        let metrics = NAMES.iter().map(|name| (*name, Metrics::shared())).collect();
        Self { caches: Caches::start(&client), client, options, metrics }
    }

    /// All nodes, for others in this process.
    pub fn nodes(&self) -> Cache<Node> {
        self.caches.nodes.clone()
    }

    /// All pods, likewise, without what only their nodes look at.
    pub fn pods(&self) -> Cache<Pod> {
        self.caches.pods.clone()
    }

    pub fn handle(&self) -> Handle {
        Handle { metrics: self.metrics.clone() }
    }

    /// Runs until `shutdown`.
    ///
    /// # Errors
    /// [`Error::Ended`], when a controller panicked.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { options, client, caches, metrics } = self;
        let environment = Environment {
            recorder: Recorder::start(client.clone(), COMPONENT, ""),
            client: client.clone(),
            leadership: options.leadership.clone(),
            caches: caches.clone(),
            workers: options.workers,
            resync: options.resync,
        };
        let mut tasks = Tasks { set: JoinSet::new(), environment, metrics, shutdown };
        tasks.start(deployment::Loop::new(caches.clone()));
        tasks.start(replica_set::Loop::new(caches.clone()));
        tasks.start(endpoint_slice::Loop::new(caches.clone()));
        tasks.start(node_lifecycle::Loop::new(caches.clone(), &options));
        tasks.start(node_lifecycle::evict::Loop::new(caches.clone(), &options));
        tasks.start(pod_gc::Loop::new(caches.clone(), client.clone(), &options));
        tasks.start(namespace::Loop::new(caches.clone(), client.clone()));
        tasks.start(garbage::Loop::new(caches.clone(), client));
        tasks.start(service_account::Loop::new(caches.clone()));
        if let Some(authority) = options.root_ca {
            tasks.start(root_ca::Loop::new(caches, authority));
        }
        while let Some(ended) = tasks.set.join_next().await {
            ended.map_err(Error::Ended)?;
        }
        Ok(())
    }
}

struct Tasks {
    set: JoinSet<()>,
    environment: Environment,
    metrics: Arc<[(&'static str, Arc<Metrics>)]>,
    shutdown: CancellationToken,
}

impl Tasks {
    fn start<C: Controller>(&mut self, controller: C) {
        let metrics = self.metrics.iter().find(|(name, _)| *name == C::NAME).map(|(_, metrics)| metrics.clone());
        self.set.spawn(drive(
            Arc::new(controller),
            self.environment.clone(),
            metrics.unwrap_or_default(),
            self.shutdown.clone(),
        ));
    }
}
