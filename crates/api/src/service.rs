//! One TLS port for both fronts: gRPC by content type, everything else REST.
//!
//! This is the one place that starts the API's tasks. **Invariant**: connections, requests and streams are bounded before
//! any work is done for them, what they hold in memory is counted, and every request carries the [`Peer`] that its connection proved to be.

mod limit;
mod pool;
mod received;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use keelson_store::Handle;
use keelson_store::reload::Reloading;
use keelson_types::status::Status;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::cache::Caches;
use crate::metrics::Metrics;
use crate::node_tunnel::Tunnels;
use crate::options::{Invalid, Options};
use crate::pipeline::{Peer, Pipeline, Settings};
use crate::tls::{self, Tls};
use crate::{cache, grpc, rest};

use limit::Limits;
pub(crate) use limit::is_watch;
use pool::{Pool, Who};
pub(crate) use received::Refused;

/// A client that does not finish its handshake in this time is gone or hostile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams on one HTTP/2 connection: an agent watches for thousands of nodes over one, and the garbage collector watches each kind
/// that users define, of which there are a thousand at most, beside whatever else its process asks.
const STREAMS_MAX: u32 = 4096;
/// How soon a peer that vanished is noticed, so that its watches do not hold memory.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept, which means that the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the options of the API are invalid")]
    Options(#[from] Invalid),
    #[error("the API's certificates cannot be used")]
    Tls(#[from] tls::Error),
    #[error("the API cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the pipeline cannot be made")]
    Pipeline(#[source] Status),
}

/// One member's API, bound to its port. `run` serves it.
pub struct Service {
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
    tls: Reloading<Tls, tls::Error>,
    store: Handle,
    caches: Arc<Caches>,
    pipeline: Arc<Pipeline>,
    /// Ends the watches and the tasks; cancelled by `run`.
    stopping: CancellationToken,
}

impl Service {
    /// Loads the certificates and binds the port.
    ///
    /// # Errors
    /// Invalid options, unusable certificates, a port in use.
    pub async fn bind(options: Options, store: Handle) -> Result<Service, Error> {
        options.validate()?;
        let tls = Tls::reloading(&options.tls)?;
        let listen = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let caches = Caches::new(options.history);
        let stopping = CancellationToken::new();
        let settings = Settings {
            default_toleration_seconds: options.default_toleration_seconds,
            advertised_port: address.port(),
            api_addresses: options.api_addresses.values().cloned().collect(),
            in_flight_bytes_max: options.in_flight_bytes_max,
            ..Settings::default()
        };
        let tunnels = Arc::new(Tunnels::default());
        let pipeline = Pipeline::new(store.clone(), caches.clone(), tunnels, settings, stopping.clone());
        let pipeline = Arc::new(pipeline.map_err(Error::Pipeline)?);
        Ok(Service { options, listener, address, tls, store, caches, pipeline, stopping })
    }

    /// The port that was bound, should the options have left it open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Serves until `shutdown`, then ends watches, and gives open requests their time.
    pub async fn run(self, shutdown: CancellationToken) {
        let Service { options, listener, address, tls, store, caches, pipeline, stopping } = self;
        let tasks = TaskTracker::new();
        let health = grpc::health(&store, &stopping);
        tasks.spawn(cache::run(caches, store, stopping.clone()));
        tasks.spawn(pipeline.clone().bootstrap(stopping.clone()));
        tasks.spawn(pipeline.clone().define(stopping.clone()));

        let published = rest::Published::new(pipeline.clone());
        let fronts = Fronts {
            rest: rest::router(published.clone()),
            grpc: grpc::router(&pipeline, &published, &options, health),
            limits: Limits::new(&options, tasks.clone()),
            metrics: pipeline.metrics().clone(),
        };
        let connections = Arc::new(Semaphore::new(options.connections_max));
        let known = Pool::new(options.connections_max);
        info!(%address, "the API serves");
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&listener, &connections) => accepted,
            };
            let Some((stream, peer, permit)) = accepted else { break };
            let tls = tls.get();
            let connection = Connection {
                acceptor: TlsAcceptor::from(tls.config.clone()),
                tls,
                fronts: fronts.clone(),
                known: known.clone(),
                stopping: stopping.clone(),
            };
            tasks.spawn(async move {
                connection.serve(stream, peer).await;
                drop(permit);
            });
        }
        drop(listener);
        stopping.cancel();
        tasks.close();
        if tokio::time::timeout(options.drain_timeout, tasks.wait()).await.is_err() {
            warn!("some requests were still open when the API stopped");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Both fronts behind one door.
#[derive(Clone)]
struct Fronts {
    rest: Router,
    grpc: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Fronts {
    async fn call(&self, who: &Who, request: Request<Incoming>) -> Response<Body> {
        let is_grpc = is_grpc(&request);
        let front = if is_grpc { self.grpc.clone() } else { self.rest.clone() };
        let class = if is_grpc { limit::grpc_class(&request) } else { limit::rest_class(&request) };
        // The other front knows more of its requests, and counts them itself.
        let about = is_grpc.then(|| limit::grpc_about(&request));
        let metrics = &self.metrics;
        let outcome = self.limits.run(who, class, request.map(Body::new), |request| async move {
            let running = about.map(|about| metrics.begin(about));
            match front.oneshot(request).await {
                Ok(response) => match running {
                    Some(running) => running.answer(response),
                    None => response,
                },
                Err(never) => match never {},
            }
        });
        match outcome.await {
            Ok(response) => response,
            Err(status) => {
                self.metrics.terminated(status.code, if is_grpc { "grpc" } else { "apiserver" });
                refusal(is_grpc, &status)
            }
        }
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}

/// A refusal before any front saw the request.
fn refusal(is_grpc: bool, status: &Status) -> Response<Body> {
    if is_grpc {
        return crate::status_code::grpc(status).into_http();
    }
    let text = serde_json::to_vec(status).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Some(details) = status.details.as_ref().filter(|details| details.retry_after_seconds > 0) {
        response.headers_mut().insert(header::RETRY_AFTER, details.retry_after_seconds.into());
    }
    response
}

struct Connection {
    acceptor: TlsAcceptor,
    tls: Tls,
    fronts: Fronts,
    /// The connections of whom we know, so that one user cannot have them all.
    known: Pool,
    stopping: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, address: SocketAddr) {
        // Small answers must not wait for more.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%address, %error, "a connection ended early");
            return;
        }
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(%address, %error, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                debug!(%address, "a TLS handshake took too long");
                return;
            }
        };
        let identity = self.tls.identify(stream.get_ref().1.peer_certificates());
        let who = Who::new(&identity);
        let Some(_place) = self.known.take(&who, 1) else {
            debug!(%address, ?who, "a user has too many connections");
            return;
        };
        let peer = Peer { address, identity };
        let fronts = self.fronts;
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let (fronts, who) = (fronts.clone(), who.clone());
            request.extensions_mut().insert(peer.clone());
            async move { Ok::<_, std::convert::Infallible>(fronts.call(&who, request).await) }
        });
        let builder = builder();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            debug!(%address, error, "a connection ended with an error");
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .adaptive_window(true);
    builder
}
