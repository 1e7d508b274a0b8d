//! What the scheduler needs to run.

use k8s_openapi::api::core::v1::{Node, Pod};
use keelson_client::Client;
use keelson_client::reflector::Cache;
use keelson_types::Leadership;
use tokio::sync::watch;

/// How to run the scheduler.
#[derive(Clone)]
pub struct Options {
    /// The API, unfenced; each term fences its own copy.
    pub client: Client,
    /// Whether this member leads. The scheduler watches the cluster always, and acts only while leading.
    pub leadership: watch::Receiver<Leadership>,
    /// All nodes, in a cache that is kept up to date.
    pub nodes: Cache<Node>,
    /// All pods, likewise; at least what a pod is placed by. Nobody else in the process needs a copy of them.
    pub pods: Cache<Pod>,
    /// Only pods that name this scheduler are its own.
    pub scheduler_name: String,
    /// Seeds the choice between equally good nodes.
    pub seed: u64,
}

impl Options {
    /// The default scheduler.
    #[must_use]
    pub fn new(client: Client, leadership: watch::Receiver<Leadership>, nodes: Cache<Node>, pods: Cache<Pod>) -> Self {
        Self { client, leadership, nodes, pods, scheduler_name: "default-scheduler".to_owned(), seed: 0 }
    }
}
