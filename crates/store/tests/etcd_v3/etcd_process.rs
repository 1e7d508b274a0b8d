//! etcd itself, one member or a few, which end with the test.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};

use crate::eventually::eventually;
use crate::ports::free_addresses;

/// The variable with the path of etcd 3.4.
pub const V34: &str = "KEELSON_TEST_ETCD_34";
/// The variable with the path of etcd 3.5.
pub const V35: &str = "KEELSON_TEST_ETCD_35";

pub struct Etcd {
    pub address: SocketAddr,
    channel: Channel,
    _child: Child,
    _folder: TempDir,
}

/// What members are called.
pub const NAMES: [&str; 3] = ["one", "two", "three"];

impl Etcd {
    /// Starts the one whose path is in `variable`, so many members of one cluster. A test that cannot run must not look like one
    /// that passed.
    pub async fn start<const MANY: usize>(variable: &str) -> [Self; MANY] {
        let program = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} must be the path of that etcd"));
        let (clients, peers): ([SocketAddr; MANY], [SocketAddr; MANY]) = (free_addresses(), free_addresses());
        let cluster: Vec<String> =
            NAMES.iter().zip(peers).map(|(name, peer)| format!("{name}=http://{peer}")).collect();
        let member = |name: &str, client: SocketAddr, peer: SocketAddr| {
            let folder = TempDir::new().expect("a folder");
            let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
            let child = Command::new(&program)
                .args([format!("--name={name}"), format!("--data-dir={}", folder.path().join("data").display())])
                .args([format!("--listen-client-urls={client_url}"), format!("--advertise-client-urls={client_url}")])
                .args([format!("--listen-peer-urls={peer_url}"), format!("--initial-advertise-peer-urls={peer_url}")])
                .args([format!("--initial-cluster={}", cluster.join(",")), "--log-level=error".to_owned()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("etcd starts");
            (client, child, folder)
        };
        let mut members = Vec::new();
        for ((name, client), peer) in NAMES.into_iter().zip(clients).zip(peers) {
            members.push(member(name, client, peer));
        }
        // None answers before there is a leader, and so not before all are started.
        let connected = members.into_iter().map(|(address, child, folder)| async move {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a good address");
            let channel =
                eventually(&format!("a connection to {address}"), || async { endpoint.connect().await.ok() }).await;
            Self { address, channel, _child: child, _folder: folder }
        });
        let members: Result<[Self; MANY], _> = futures::future::join_all(connected).await.try_into();
        members.unwrap_or_else(|_| panic!("a cluster has {} members at most", NAMES.len()))
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
