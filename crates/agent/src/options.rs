//! What an agent needs to run.

use std::collections::BTreeSet;
use std::time::Duration;

use keelson_client::Tls;

/// Nodes that one process may host; the API accepts no more on one stream.
const NODES_MAX: usize = 10_000;

/// How to run an agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The names of the nodes that this process hosts.
    pub nodes: Vec<String>,
    /// `host:port` of every member's API.
    pub endpoints: Vec<String>,
    /// Absent only in tests.
    pub tls: Option<Tls>,
    /// How often a node renews its lease. A fourth of the time after which a silent node counts as dead, or less.
    pub lease_interval: Duration,
    /// Seeds what simulated containers do.
    pub seed: u64,
    /// What each node offers.
    pub capacity: Capacity,
    /// The first pause before a container that ended is started again; doubles up to `restart_backoff_max`.
    pub restart_backoff: Duration,
    /// The longest such pause.
    pub restart_backoff_max: Duration,
}

/// What a node offers, as quantities.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub cpu: String,
    pub memory: String,
    pub ephemeral_storage: String,
    pub pods: u32,
}

/// Options that no agent can start with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Too many nodes or none.
    #[error("an agent hosts 1 to {NODES_MAX} nodes, not {0}")]
    Nodes(usize),
    /// A node's name is not one that objects may have.
    #[error("{0:?} is no name for a node: lower case letters, digits, '-' and '.', at most 253 characters")]
    Name(String),
    /// Two nodes have one name.
    #[error("two nodes are called {0}")]
    Twice(String),
    /// A lease that is never renewed.
    #[error("the lease interval must be above zero")]
    LeaseInterval,
}

impl Options {
    /// The kubelet's defaults, for nodes of 8 cores and 32 GiB.
    #[must_use]
    pub fn new(nodes: Vec<String>, endpoints: Vec<String>, tls: Option<Tls>) -> Self {
        Self {
            nodes,
            endpoints,
            tls,
            lease_interval: Duration::from_secs(10),
            seed: 0,
            capacity: Capacity {
                cpu: "8".to_owned(),
                memory: "32Gi".to_owned(),
                ephemeral_storage: "100Gi".to_owned(),
                pods: 110,
            },
            restart_backoff: Duration::from_secs(10),
            restart_backoff_max: Duration::from_secs(300),
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.nodes.is_empty() || self.nodes.len() > NODES_MAX {
            return Err(Invalid::Nodes(self.nodes.len()));
        }
        let mut names = BTreeSet::new();
        for name in &self.nodes {
            if !keelson_types::names::dns1123_subdomain(name).is_empty() {
                return Err(Invalid::Name(name.clone()));
            }
            if !names.insert(name) {
                return Err(Invalid::Twice(name.clone()));
            }
        }
        if self.lease_interval.is_zero() {
            return Err(Invalid::LeaseInterval);
        }
        Ok(())
    }
}
