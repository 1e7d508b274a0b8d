//! The servers, each a single member in a folder of its own, which end with the test.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use keelson_store::{Options, Peer, Store};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::certificates::Authority;
use crate::eventually::eventually;

pub struct Running {
    pub address: SocketAddr,
    channel: Channel,
    _child: Option<Child>,
    _folder: TempDir,
}

impl Running {
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a good address");
    eventually(&format!("a connection to {address}"), || async { endpoint.connect().await.ok() }).await
}

/// Starts the etcd whose path is in `variable`. A test that cannot run must not look like one that passed.
pub async fn etcd(variable: &str) -> Running {
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
    Running { address: client, channel: connect(client).await, _child: Some(child), _folder: folder }
}

/// Starts Keelson's store in this process.
pub async fn keelson() -> Running {
    let folder = TempDir::new().expect("a folder");
    let [client, peer] = free_addresses();
    let peers = vec![Peer { name: "one".to_owned(), address: peer.to_string() }];
    // The peer port needs a certificate, though nobody comes.
    let tls = Authority::new(folder.path(), "peers").issue("one");
    let mut options = Options::new("one", folder.path().join("data"), peers, peer, client, tls);
    options.insecure_store = true;
    let (_, service) = Store::open(options).await.expect("the store opens");
    tokio::spawn(service.run(CancellationToken::new()));
    Running { address: client, channel: connect(client).await, _child: None, _folder: folder }
}
