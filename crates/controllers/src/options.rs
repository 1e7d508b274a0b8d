//! What the controllers need to be told.

use std::time::Duration;

use keelson_client::Client;
use keelson_types::Leadership;
use tokio::sync::watch;

/// Configuration of [`crate::Service`].
#[derive(Clone)]
pub struct Options {
    /// Reads and, with the term as fence, writes.
    pub client: Client,
    /// The controllers act while this says `leading`, and keep their caches warm otherwise.
    pub leadership: watch::Receiver<Leadership>,
    /// The certificates, as PEM, by which pods know the API; without them, no namespace is told of any.
    pub root_ca: Option<String>,
    /// How long a node's lease may stay unrenewed before the node counts as lost.
    pub node_monitor_grace: Duration,
    /// How often nodes are looked at while nothing changes.
    pub node_monitor_period: Duration,
    /// How long pods without a toleration of their own stay on a lost node; 0 evicts at once.
    pub pod_eviction_after: Duration,
    /// The least time between two nodes that are given up; 0 means no limit.
    pub node_eviction_interval: Duration,
    /// How long a node must be missing before the pods bound to it are removed.
    pub missing_node_quarantine: Duration,
    /// How many keys of one controller are worked on at once.
    pub workers: usize,
    /// Every key is looked at again this often, in case a signal was lost.
    pub resync: Duration,
}

impl Options {
    /// Kubernetes' defaults.
    pub fn new(client: Client, leadership: watch::Receiver<Leadership>) -> Self {
        Self {
            client,
            leadership,
            root_ca: None,
            node_monitor_grace: Duration::from_secs(40),
            node_monitor_period: Duration::from_secs(5),
            pod_eviction_after: Duration::from_secs(300),
            node_eviction_interval: Duration::from_secs(10),
            missing_node_quarantine: Duration::from_secs(40),
            workers: 5,
            resync: Duration::from_secs(600),
        }
    }

    /// The fast settings of a local cluster: a dead node is noticed after 5 s and given up after 1 s more.
    pub fn local(mut self) -> Self {
        self.node_monitor_grace = Duration::from_secs(5);
        self.node_monitor_period = Duration::from_secs(1);
        self.pod_eviction_after = Duration::from_secs(1);
        self.node_eviction_interval = Duration::ZERO;
        self.missing_node_quarantine = Duration::from_secs(5);
        self
    }
}
