//! All controllers together.

use std::sync::Arc;

use keelson_client::Client;
use keelson_client::events::Recorder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::driver::{Controller, Environment, drive};
use crate::metrics::{Counters, Metrics};
use crate::{
    Options, deployment, endpoint_slice, garbage, namespace, node_lifecycle, pod_gc, replica_set, service_account,
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

const NAMES: [&str; 9] = [
    deployment::Loop::NAME,
    replica_set::Loop::NAME,
    endpoint_slice::Loop::NAME,
    node_lifecycle::Loop::NAME,
    node_lifecycle::evict::Loop::NAME,
    pod_gc::Loop::NAME,
    namespace::Loop::NAME,
    garbage::Loop::NAME,
    service_account::Loop::NAME,
];

impl Service {
    pub fn new(options: Options) -> Self {
        Self { options, metrics: NAMES.iter().map(|name| (*name, Metrics::shared())).collect() }
    }

    pub fn handle(&self) -> Handle {
        Handle { metrics: self.metrics.clone() }
    }

    /// Runs until `shutdown`.
    ///
    /// # Errors
    /// [`Error::Ended`], when a controller panicked.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let client: Client = self.options.client.with_field_manager(COMPONENT);
        let caches = Caches::start(&client);
        let environment = Environment {
            recorder: Recorder::start(client.clone(), COMPONENT, ""),
            client: client.clone(),
            leadership: self.options.leadership.clone(),
            caches: caches.clone(),
            workers: self.options.workers,
            resync: self.options.resync,
        };
        let mut tasks = Tasks { set: JoinSet::new(), environment, metrics: self.metrics.clone(), shutdown };
        tasks.start(deployment::Loop::new(caches.clone()));
        tasks.start(replica_set::Loop::new(caches.clone()));
        tasks.start(endpoint_slice::Loop::new(caches.clone()));
        tasks.start(node_lifecycle::Loop::new(caches.clone(), &self.options));
        tasks.start(node_lifecycle::evict::Loop::new(caches.clone(), &self.options));
        tasks.start(pod_gc::Loop::new(caches.clone(), client.clone(), &self.options));
        tasks.start(namespace::Loop::new(caches.clone(), client.clone()));
        tasks.start(garbage::Loop::new(caches.clone(), client));
        tasks.start(service_account::Loop::new(caches));
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
