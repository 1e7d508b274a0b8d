//! The servers, single members and clusters, which end with the test.

use std::net::SocketAddr;
use std::sync::Arc;

use keelson_store::{Options, Peer, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::certificates::Authority;
use crate::etcd_process::{Etcd, NAMES};
use crate::eventually::eventually;
use crate::ports::free_addresses;

pub struct Running {
    pub address: SocketAddr,
    channel: Channel,
    _etcd: Option<Etcd>,
    _folder: Option<Arc<TempDir>>,
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

/// Starts the etcd whose path is in `variable`: so many members.
pub async fn etcd<const MANY: usize>(variable: &str) -> [Running; MANY] {
    let members = Etcd::start(variable).await;
    members.map(|etcd| Running { address: etcd.address, channel: etcd.channel(), _etcd: Some(etcd), _folder: None })
}

/// Starts so many members of Keelson's store in this process.
pub async fn keelson<const MANY: usize>() -> [Running; MANY] {
    let (clients, addresses): ([SocketAddr; MANY], [SocketAddr; MANY]) = (free_addresses(), free_addresses());
    let peer = |(name, address): (&str, &SocketAddr)| Peer { name: name.to_owned(), address: address.to_string() };
    let peers: Vec<Peer> = NAMES.into_iter().zip(&addresses).map(peer).collect();
    let folder = Arc::new(TempDir::new().expect("a folder"));
    // The peer port needs a certificate, also when nobody comes.
    let authority = Authority::new(folder.path(), "peers");
    for ((name, client), address) in NAMES.into_iter().zip(clients).zip(addresses) {
        let data = folder.path().join(name);
        let mut options = Options::new(name, data, peers.clone(), address, client, authority.issue(name));
        options.insecure_store = true;
        let (_, service) = Store::open(options).await.expect("the store opens");
        tokio::spawn(service.run(CancellationToken::new()));
    }
    let running = clients.map(|address| {
        let folder = Some(Arc::clone(&folder));
        async move { Running { address, channel: connect(address).await, _etcd: None, _folder: folder } }
    });
    let running: Result<[Running; MANY], _> = futures::future::join_all(running).await.try_into();
    running.unwrap_or_else(|_| unreachable!("there are as many as addresses"))
}
