//! etcd itself, one member, which ends with the test.

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

impl Etcd {
    /// Starts the one whose path is in `variable`. A test that cannot run must not look like one that passed.
    pub async fn start(variable: &str) -> Self {
        let program = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} must be the path of that etcd"));
        let folder = TempDir::new().expect("a folder");
        let [client, peer] = free_addresses();
        let child = Command::new(program)
            .args(["--name=one", "--log-level=error", &format!("--data-dir={}", folder.path().join("data").display())])
            .args([format!("--listen-client-urls=http://{client}"), format!("--advertise-client-urls=http://{client}")])
            .args([format!("--listen-peer-urls=http://{peer}"), format!("--initial-advertise-peer-urls=http://{peer}")])
            .arg(format!("--initial-cluster=one=http://{peer}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("etcd starts");
        let endpoint = Endpoint::from_shared(format!("http://{client}")).expect("a good address");
        let channel =
            eventually(&format!("a connection to {client}"), || async { endpoint.connect().await.ok() }).await;
        Self { address: client, channel, _child: child, _folder: folder }
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
