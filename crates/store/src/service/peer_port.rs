//! The port on which other members speak to this one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use keelson_proto::keelson::raft::v1::forward_server::ForwardServer;
use keelson_proto::keelson::raft::v1::raft_server::RaftServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::util::MapErr;

use super::Error;
use crate::machine::{Channel, Machine};
use crate::peers::MESSAGE_BYTES_MAX;
use crate::{forward, peer_tls, raft};

/// A peer that does not finish its handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes under way: a handful of peers with a handful of connections each.
const HANDSHAKES_MAX: usize = 64;
/// After a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// What may be under way unread.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Serves until the future is dropped.
///
/// # Errors
/// When the server cannot go on.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Box<peer_tls::Server>,
    raft: raft::server::Server,
    forward: forward::Server,
) -> Result<(), Error> {
    let (accepted, connections) = mpsc::channel(HANDSHAKES_MAX);
    let raft =
        RaftServer::new(raft).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let forward = ForwardServer::new(forward)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(raft)
        .add_service(forward)
        .serve_with_incoming(ReceiverStream::new(connections));
    tokio::select! {
        served = server => served.map_err(Error::Peers),
        () = accept(listener, &tls, accepted) => Ok(()),
    }
}

/// The same services on a simulated machine.
pub(super) fn serve_simulated(
    machine: &Machine,
    raft: raft::server::Server,
    forward: forward::Server,
) -> BoxFuture<'static, ()> {
    let raft =
        RaftServer::new(raft).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let forward = ForwardServer::new(forward)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let routes = MapErr::new(Routes::new(raft).add_service(forward), |never: Infallible| match never {});
    machine.world().serve(Channel::new(routes))
}

type Accepted = Result<TlsStream<TcpStream>, std::io::Error>;

/// Accepts connections and hands on those whose handshake succeeded.
async fn accept(listener: TcpListener, tls: &peer_tls::Server, accepted: mpsc::Sender<Accepted>) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let mut handshakes = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while handshakes.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept peers");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, accepted) = (TlsAcceptor::from(tls.get()), accepted.clone());
        handshakes.spawn(async move {
            let _permit = permit;
            let from = stream.peer_addr().ok();
            let handshake = async {
                stream.set_nodelay(true)?;
                tls.accept(stream).await
            };
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                // The receiver is gone only when the member stops.
                Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::warn!(?from, %error, "a peer's TLS handshake failed"),
                Err(_) => tracing::warn!(?from, "a peer's TLS handshake took too long"),
            }
        });
    }
}
