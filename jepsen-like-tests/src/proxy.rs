//! A TCP proxy between two members, that can be cut.
//!
//! Members dial their peers by their own address map, so each direction between two members has a proxy of its own, and any
//! set of directions can be cut: symmetric, asymmetric, or one member from all others. Cut means *silent*: open connections
//! carry nothing more, new ones are accepted and carry nothing, as when packets are dropped on the way. What arrives while
//! cut is thrown away and the connection is closed when the cut heals, because TCP would have resent it or given up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bytes that one direction of a connection may hold.
const BUFFER_BYTES: usize = 64 << 10;
/// More connections than any member opens to a peer; further ones are closed at once.
const CONNECTIONS_MAX: usize = 256;

/// One direction between two members.
pub struct Proxy {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    used: Arc<AtomicBool>,
    _end: DropGuard,
}

impl Proxy {
    /// Listens on a free port of loopback and leads to `target`. Ends when dropped.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cut, cut_seen) = watch::channel(false);
        let end = CancellationToken::new();
        let used = Arc::new(AtomicBool::new(false));
        tokio::spawn(accept(listener, target, cut_seen, end.clone(), used.clone()));
        Ok(Self { address, cut, used, _end: end.drop_guard() })
    }

    /// Where to dial.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the direction, or heals it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Whether any connection was ever made through it. A fault test that cut a way nobody uses would prove nothing.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    cut: watch::Receiver<bool>,
    end: CancellationToken,
    used: Arc<AtomicBool>,
) {
    let connections = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    while let Some(Ok((inbound, _))) = end.run_until_cancelled(listener.accept()).await {
        let Ok(permit) = connections.clone().try_acquire_owned() else { continue };
        used.store(true, Ordering::Relaxed);
        let (cut, end) = (cut.clone(), end.clone());
        tokio::spawn(async move {
            let _permit = permit;
            // An error is a broken connection, and that is all a peer may learn from it.
            let _ = end.run_until_cancelled(carry(inbound, target, cut)).await;
        });
    }
}

async fn carry(inbound: TcpStream, target: SocketAddr, mut cut: watch::Receiver<bool>) -> std::io::Result<()> {
    if *cut.borrow() {
        // Silence until healed; then the connection breaks and the member dials again.
        let _ = cut.wait_for(|cut| !cut).await;
        return Ok(());
    }
    let outbound = TcpStream::connect(target).await?;
    inbound.set_nodelay(true)?;
    outbound.set_nodelay(true)?;
    let (mut inbound_read, mut inbound_write) = inbound.into_split();
    let (mut outbound_read, mut outbound_write) = outbound.into_split();
    tokio::select! {
        done = pump(&mut inbound_read, &mut outbound_write) => done,
        done = pump(&mut outbound_read, &mut inbound_write) => done,
        _ = async {
            let _ = cut.wait_for(|cut| *cut).await;
        } => {
            let _ = cut.wait_for(|cut| !cut).await;
            Ok(())
        }
    }
}

async fn pump(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    pump(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn answers_within(stream: &mut TcpStream, within: Duration) -> bool {
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.is_ok()
            && matches!(tokio::time::timeout(within, stream.read_exact(&mut answer)).await, Ok(Ok(_)))
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        answers_within(stream, Duration::from_secs(120)).await
    }

    async fn is_silent(stream: &mut TcpStream) -> bool {
        !answers_within(stream, Duration::from_millis(300)).await
    }

    #[tokio::test]
    async fn a_cut_is_silent_and_a_healed_way_carries_again() {
        let proxy = Proxy::start(echo().await).await.expect("a proxy");
        let mut before = TcpStream::connect(proxy.address()).await.expect("connected");
        assert!(answers(&mut before).await);
        proxy.set_cut(true);
        assert!(is_silent(&mut before).await);
        let mut during = TcpStream::connect(proxy.address()).await.expect("accepted, though cut");
        assert!(is_silent(&mut during).await);
        proxy.set_cut(false);
        let mut after = TcpStream::connect(proxy.address()).await.expect("connected");
        assert!(answers(&mut after).await);
        assert!(proxy.was_used());
    }
}
