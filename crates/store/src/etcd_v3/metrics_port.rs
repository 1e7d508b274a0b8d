//! A port that serves the HTTP pages alone and in the clear: for probes and for Prometheus, which have no certificate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::front::{Front, Limits};
use super::{Error, http};
use crate::Handle;

/// Probes and scrapers are few.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port.
pub(crate) struct MetricsPort {
    listener: TcpListener,
}

impl MetricsPort {
    /// # Errors
    /// [`Error::Listen`].
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { listener })
    }

    /// Serves until the future is dropped.
    pub(crate) async fn run(self, handle: Handle) {
        // Nothing here requires a leader.
        let (_, led) = watch::channel(false);
        let front = Arc::new(Front::new(handle, Limits::default(), led, CancellationToken::new()));
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept clients of the metrics port");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let front = Arc::clone(&front);
            connections.spawn(async move {
                let _permit = permit;
                let pages = service_fn(move |request: hyper::Request<Incoming>| {
                    let (front, request) = (Arc::clone(&front), request.map(drop));
                    async move { Ok::<_, Infallible>(http::answer(&front, &request).await) }
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                if let Err(error) = builder.serve_connection(TokioIo::new(stream), pages).await {
                    tracing::debug!(%error, "connection of a client of the metrics port ended");
                }
            });
        }
    }
}
