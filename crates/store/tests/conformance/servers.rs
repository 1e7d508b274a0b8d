//! The servers, each a single member in a folder of its own, which end with the test.

use std::net::SocketAddr;

use keelson_store::{Options, Peer, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::certificates::Authority;
use crate::etcd_process::Etcd;
use crate::eventually::eventually;
use crate::ports::free_addresses;

pub struct Running {
    pub address: SocketAddr,
    channel: Channel,
    _etcd: Option<Etcd>,
    _folder: Option<TempDir>,
}

impl Running {
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a good address");
    eventually(&format!("a connection to {address}"), || async { endpoint.connect().await.ok() }).await
}

/// Starts the etcd whose path is in `variable`.
pub async fn etcd(variable: &str) -> Running {
    let etcd = Etcd::start(variable).await;
    Running { address: etcd.address, channel: etcd.channel(), _etcd: Some(etcd), _folder: None }
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
    Running { address: client, channel: connect(client).await, _etcd: None, _folder: Some(folder) }
}
