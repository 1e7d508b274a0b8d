//! A way to a member that can be cut: connections go through a relay, which ends them when it is told to.

use std::net::SocketAddr;

use kube::{Client, Config};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cluster::config;

/// The relay. Dropping it cuts all connections.
pub struct Relay {
    /// Where connections go to; `None` while the way is cut.
    way: watch::Sender<Option<SocketAddr>>,
    address: SocketAddr,
}

impl Relay {
    /// Begins with a way to this member.
    pub async fn to(member: usize) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (way, seen) = watch::channel(Some(address_of(&config(member).await)));
        tokio::spawn(accept(listener, seen));
        Relay { way, address }
    }

    /// A client that goes through here.
    pub async fn client(&self) -> Client {
        let mut config = config(0).await;
        config.cluster_url = format!("https://{}/", self.address).parse().expect("an address");
        Client::try_from(config).expect("a client")
    }

    /// Ends all connections; new ones end at once.
    pub fn cut(&self) {
        self.way.send_replace(None);
    }

    /// New connections reach this member.
    pub async fn mend(&self, member: usize) {
        self.way.send_replace(Some(address_of(&config(member).await)));
    }
}

fn address_of(config: &Config) -> SocketAddr {
    config.cluster_url.authority().expect("an address").as_str().parse().expect("an address of this machine")
}

async fn accept(listener: TcpListener, mut way: watch::Receiver<Option<SocketAddr>>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            gone = closed(&mut way) => return gone,
        };
        let (mut near, _) = accepted.expect("a connection");
        let mut way = way.clone();
        let Some(target) = *way.borrow_and_update() else { continue };
        tokio::spawn(async move {
            let mut far = TcpStream::connect(target).await.expect("the member listens");
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = way.changed() => {}
            }
        });
    }
}

/// Returns when the relay was dropped.
async fn closed(way: &mut watch::Receiver<Option<SocketAddr>>) {
    while way.changed().await.is_ok() {}
}
