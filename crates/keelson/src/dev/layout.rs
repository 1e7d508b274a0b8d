//! Where a local cluster keeps its files, and which addresses its processes use. Pure: nothing here touches the disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The most members that a local cluster may have. Seven voters survive three failures; more only slow every write down.
pub const MEMBERS_MAX: usize = 7;
/// The most simulated nodes that a local cluster may have.
pub const NODES_MAX: usize = 5_000;

/// What a local cluster consists of. Kept in `cluster.json` in its home, so that every later command knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// How many members: 1, 3, 5 or 7.
    pub members: usize,
    /// How many simulated nodes; 0 means no agent process.
    pub nodes: usize,
    /// The API port of the first member; that of member *i* (from 0) is `api_port + 10 * i`.
    pub api_port: u16,
    /// The etcd port of the first member, likewise.
    pub store_port: u16,
    /// The peer port of the first member, likewise.
    pub peer_port: u16,
    /// The etcd port speaks plain text; for comparisons with a plain etcd.
    pub insecure_store: bool,
    /// Where member `from` dials member `to`, when it is not the address that `to` listens on: a fault injector's proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detours: Vec<Detour>,
    /// Further arguments of every `keelson server`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_arguments: Vec<String>,
}

/// One direction between two members that leads through a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detour {
    /// The index of the member that dials.
    pub from: usize,
    /// The index of the member that is meant.
    pub to: usize,
    /// The proxy's address.
    pub address: SocketAddr,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            members: 3,
            nodes: 3,
            api_port: 6443,
            store_port: 2379,
            peer_port: 2380,
            insecure_store: false,
            detours: Vec::new(),
            server_arguments: Vec::new(),
        }
    }
}

/// Why a [`Spec`] cannot be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// An even number of members survives no more failures than one less, and a number over the bound is slow.
    #[error("a cluster has 1, 3, 5 or 7 members, not {0}")]
    Members(usize),
    /// More nodes than one agent process may host.
    #[error("at most {NODES_MAX} simulated nodes, not {0}")]
    Nodes(usize),
    /// A port would be beyond 65535, or two servers would share one.
    #[error("the ports from {api_port}, {store_port} and {peer_port} in steps of 10 overlap or end beyond 65535")]
    Ports {
        /// The first API port.
        api_port: u16,
        /// The first etcd port.
        store_port: u16,
        /// The first peer port.
        peer_port: u16,
    },
}

impl Spec {
    /// For tests in which nobody is to be lost: a machine that is too busy to renew the leases of nodes for some seconds moves no
    /// pods.
    #[must_use]
    pub fn undisturbed() -> Self {
        let server_arguments = ["--node-monitor-grace-seconds", "600"].map(str::to_owned).into();
        Self { server_arguments, ..Self::default() }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the first value that is out of its range.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.members == 0 || self.members > MEMBERS_MAX || self.members.is_multiple_of(2) {
            return Err(SpecError::Members(self.members));
        }
        if self.nodes > NODES_MAX {
            return Err(SpecError::Nodes(self.nodes));
        }
        let mut ports: Vec<u32> = (0..self.members)
            .flat_map(|i| [self.api_port, self.store_port, self.peer_port].map(|port| u32::from(port) + 10 * i as u32))
            .collect();
        ports.sort_unstable();
        let distinct = ports.windows(2).all(|pair| pair[0] != pair[1]);
        if !distinct || ports.iter().any(|port| *port == 0 || *port > u32::from(u16::MAX)) {
            let Self { api_port, store_port, peer_port, .. } = *self;
            return Err(SpecError::Ports { api_port, store_port, peer_port });
        }
        Ok(())
    }

    /// The names of the members: `m1`, `m2`, …
    pub fn member_names(&self) -> impl Iterator<Item = String> {
        (1..=self.members).map(|number| format!("m{number}"))
    }

    /// Where member `index` serves the API.
    #[must_use]
    pub fn api_address(&self, index: usize) -> SocketAddr {
        address(self.api_port, index)
    }

    /// Where member `index` serves etcd's API.
    #[must_use]
    pub fn store_address(&self, index: usize) -> SocketAddr {
        address(self.store_port, index)
    }

    /// Where member `index` listens for its peers.
    #[must_use]
    pub fn peer_address(&self, index: usize) -> SocketAddr {
        address(self.peer_port, index)
    }

    /// The `--initial-cluster` of member `index`: every member and where this one dials it.
    #[must_use]
    pub fn initial_cluster(&self, index: usize) -> String {
        let dial = |to: usize| {
            let detour = self.detours.iter().find(|detour| detour.from == index && detour.to == to);
            detour.map_or_else(|| self.peer_address(to), |detour| detour.address)
        };
        let members = self.member_names().enumerate().map(|(to, name)| format!("{name}={}", dial(to)));
        members.collect::<Vec<_>>().join(",")
    }

    /// The `--api-addresses` of every member.
    #[must_use]
    pub fn api_addresses(&self) -> String {
        let members = self.member_names().zip(self.api_endpoints()).map(|(name, address)| format!("{name}={address}"));
        members.collect::<Vec<_>>().join(",")
    }

    /// The etcd endpoints, as `etcdctl --endpoints` takes them between commas.
    #[must_use]
    pub fn store_endpoints(&self) -> Vec<String> {
        let scheme = if self.insecure_store { "http" } else { "https" };
        (0..self.members).map(|index| format!("{scheme}://{}", self.store_address(index))).collect()
    }

    /// The API endpoints, as `keelctl --endpoints` takes them.
    #[must_use]
    pub fn api_endpoints(&self) -> Vec<String> {
        (0..self.members).map(|index| self.api_address(index).to_string()).collect()
    }
}

fn address(first_port: u16, index: usize) -> SocketAddr {
    // In range: `Spec::validate` has checked the last port.
    let port = first_port.saturating_add(10 * u16::try_from(index).unwrap_or(u16::MAX / 10));
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The files of a local cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    home: PathBuf,
}

impl Layout {
    /// A cluster whose files are all below `home`.
    #[must_use]
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The [`Spec`].
    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.home.join("cluster.json")
    }

    /// The authorities and the users' certificates.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.home.join("pki")
    }

    /// Everything of one process: `m1`, `m2`, …, `agent`.
    #[must_use]
    pub fn process(&self, name: &str) -> ProcessLayout {
        ProcessLayout { folder: self.home.join(name) }
    }

    /// For kubectl.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    /// For keelctl.
    #[must_use]
    pub fn keelctl_config(&self) -> PathBuf {
        self.home.join("keelctl.json")
    }
}

/// The files of one process of a local cluster.
#[derive(Clone, Debug)]
pub struct ProcessLayout {
    folder: PathBuf,
}

impl ProcessLayout {
    /// The folder that holds the others.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A member's data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The certificates of this process.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// What the process writes to its standard error.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Which process runs, so that exactly this one is ended.
    #[must_use]
    pub fn pid(&self) -> PathBuf {
        self.folder.join("pid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_its_ports_are_apart() {
        let spec = Spec::default();
        assert_eq!(spec.validate(), Ok(()));
        assert_eq!(spec.initial_cluster(0), "m1=127.0.0.1:2380,m2=127.0.0.1:2390,m3=127.0.0.1:2400");
        assert_eq!(
            spec.store_endpoints(),
            ["https://127.0.0.1:2379", "https://127.0.0.1:2389", "https://127.0.0.1:2399"]
        );
    }

    #[test]
    fn a_detour_is_seen_by_one_member_only() {
        let address = "127.0.0.1:9999".parse().expect("an address");
        let spec = Spec { detours: vec![Detour { from: 0, to: 1, address }], ..Spec::default() };
        assert_eq!(spec.initial_cluster(0), "m1=127.0.0.1:2380,m2=127.0.0.1:9999,m3=127.0.0.1:2400");
        assert_eq!(spec.initial_cluster(2), "m1=127.0.0.1:2380,m2=127.0.0.1:2390,m3=127.0.0.1:2400");
    }

    #[test]
    fn what_cannot_run_is_refused() {
        for members in [0, 2, 4, 8, 9] {
            assert_eq!(Spec { members, ..Spec::default() }.validate(), Err(SpecError::Members(members)));
        }
        assert_eq!(Spec { nodes: 5_001, ..Spec::default() }.validate(), Err(SpecError::Nodes(5_001)));
        for (api_port, peer_port) in [(2380, 2380), (2360, 2380), (65_530, 2380), (0, 2380)] {
            let spec = Spec { api_port, peer_port, ..Spec::default() };
            assert!(matches!(spec.validate(), Err(SpecError::Ports { .. })), "{api_port} {peer_port}");
        }
    }
}
