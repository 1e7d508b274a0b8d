//! The etcd port: accepts connections, speaks TLS on them, and serves HTTP/2 (and HTTP/1.1) until told to stop.
//!
//! **Invariant**: without TLS the port is a loopback address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batched::Batched;
use super::dispatch::Dispatch;
use super::front::{Front, Limits};
use super::guard::CommonName;
use super::{led, tls};
use crate::Handle;
use crate::options::Tls;
use crate::reload::Reloading;

/// A client that does not finish its TLS handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A quiet connection is pinged so often, and cut off when the answer takes longer than the timeout, so that the watches
/// of a vanished client do not stay.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What one request may send ahead of being read: a whole one of ordinary size. A connection may have several.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 2 << 20;
/// Metadata of a request: tokens and a few names.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Requests in flight have so long to finish after the stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long to wait after a failed accept: out of file descriptors, most likely, which passes when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the etcd port cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Clear text must not leave the machine.
    #[error("the etcd API is served without TLS on loopback addresses only, not on {address}")]
    InsecureAddress {
        /// Where it was asked to listen.
        address: SocketAddr,
    },
    /// Files that TLS needs are missing or wrong.
    #[error("cannot set TLS up for the etcd API")]
    Tls(#[source] tls::Error),
    /// The address is in use, or not this machine's.
    #[error("cannot listen for etcd clients on {address}")]
    Listen {
        /// Where it was asked to listen.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The etcd port, bound and ready to be served.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Reloading<Arc<ServerConfig>, tls::Error>>,
    limits: Limits,
}

impl Server {
    /// Binds `address`. Without `tls` the API is served in the clear, which only a loopback address may do.
    ///
    /// # Errors
    /// Each way in which the configuration or the machine does not allow it.
    pub async fn bind(address: SocketAddr, tls: Option<&Tls>, limits: Limits) -> Result<Self, Error> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(Error::InsecureAddress { address });
        }
        let tls = tls.map(tls::reloading).transpose().map_err(Error::Tls)?;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls, limits })
    }

    /// Where clients reach it: the real port when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `handle` until `shutdown`. Then streams end with "server stopped", requests in flight get a moment to
    /// finish, and the rest is cut off.
    pub async fn run(self, handle: Handle, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let (led, is_led) = watch::channel(false);
        let patience = self.limits.no_leader_tolerance / 2;
        connections.spawn(led::follow(handle.clone(), patience, led, shutdown.clone()));
        let dispatch = Dispatch::new(Front::new(handle, self.limits, is_led, shutdown.clone()), connections.clone());
        let cut_off = CancellationToken::new();
        let permits = Arc::new(Semaphore::new(self.limits.connections_max));
        loop {
            let accepted = async {
                // Waiting for the permit first leaves further clients in the kernel's bounded backlog.
                let permit = Arc::clone(&permits).acquire_owned().await;
                (self.listener.accept().await, permit)
            };
            let (stream, permit) = tokio::select! {
                () = shutdown.cancelled() => break,
                (accepted, permit) = accepted => match accepted {
                    Ok((stream, _)) => (stream, permit),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept etcd clients");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let streams_max = self.limits.streams_max;
            let tls = self.tls.as_ref().map(|tls| TlsAcceptor::from(tls.get()));
            let connection = connection(stream, tls, dispatch.clone(), streams_max, shutdown.clone());
            let cut_off = cut_off.clone();
            connections.spawn(Batched::new(async move {
                let _permit = permit;
                tokio::select! {
                    () = cut_off.cancelled_owned() => {}
                    () = connection => {}
                }
            }));
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(STOP_GRACE, connections.wait()).await.is_err() {
            cut_off.cancel();
            connections.wait().await;
        }
    }
}

/// One connection from the handshake to its end. Errors end it and concern nobody else.
async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    dispatch: Dispatch,
    streams_max: u32,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "etcd client went away");
        return;
    }
    let Some(tls) = tls else { return serve(stream, dispatch, streams_max, shutdown).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let common_name = stream.get_ref().1.peer_certificates().and_then(CommonName::of);
            serve(stream, dispatch.of(common_name), streams_max, shutdown).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with an etcd client failed"),
        Err(_) => tracing::debug!("TLS handshake with an etcd client took too long"),
    }
}

async fn serve<S>(stream: S, dispatch: Dispatch, streams_max: u32, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(streams_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), dispatch);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "connection of an etcd client ended");
    }
}
