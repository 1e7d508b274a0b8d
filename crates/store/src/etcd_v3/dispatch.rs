//! Sends each HTTP request to its service by the first segment of its path.
//!
//! A router for any path costs more than the lookup of a fixed handful of names, and this runs for every request.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use hyper::body::Incoming;
use keelson_proto::etcdserverpb::auth_server::AuthServer;
use keelson_proto::etcdserverpb::cluster_server::ClusterServer;
use keelson_proto::etcdserverpb::kv_server::KvServer;
use keelson_proto::etcdserverpb::lease_server::LeaseServer;
use keelson_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use keelson_proto::v3electionpb::election_server::ElectionServer;
use keelson_proto::v3lockpb::lock_server::LockServer;
use prost_reflect::DescriptorPool;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tower::Service as _;

use super::front::Front;
use super::guard::CommonName;
use super::measure::{Counted, CountedBody, Received, Source};
use super::{gateway, http, range, status_code, watch};
use crate::Error;
use crate::health::{self, HealthServer};

/// Metadata by which a client says which version of the API it was made for.
const CLIENT_API_VERSION: &str = "client-api-version";
/// WebSockets at one time: each may hold a few messages of its client.
const WEBSOCKETS_MAX: usize = 1000;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// An answer under way, which leaves with etcd's words.
pub(super) struct Answer(Answering);

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map_ok(status_code::translated)
    }
}

/// All services of the port. Cheap to clone: one is made for each connection.
#[derive(Clone)]
pub(super) struct Dispatch {
    front: Arc<Front>,
    gateway: Arc<gateway::Routes>,
    websockets: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Of the connection's certificate.
    common_name: Option<CommonName>,
    kv: KvServer<Front>,
    lease: LeaseServer<Front>,
    cluster: ClusterServer<Front>,
    maintenance: MaintenanceServer<Front>,
    auth: AuthServer<Front>,
    election: ElectionServer<Front>,
    lock: LockServer<Front>,
    health: HealthServer<health::Service>,
    reflection: Routes,
}

impl Dispatch {
    /// Whoever stops waits for `tasks`, which are those of the connections.
    pub(super) fn new(front: Front, tasks: TaskTracker) -> Self {
        let bytes_max = front.message_bytes_max();
        let front = Arc::new(front);
        // Answers are as large as what was asked for; only requests are bounded.
        Self {
            kv: KvServer::from_arc(Arc::clone(&front))
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(usize::MAX),
            lease: LeaseServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            cluster: ClusterServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            maintenance: MaintenanceServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            auth: AuthServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            election: ElectionServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            lock: LockServer::from_arc(Arc::clone(&front)).max_decoding_message_size(bytes_max),
            health: HealthServer::new(health(&front)),
            reflection: reflection(),
            gateway: Arc::new(gateway::Routes::new()),
            tasks,
            websockets: Arc::new(Semaphore::new(front.limits.connections_max.min(WEBSOCKETS_MAX))),
            front,
            common_name: None,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Dispatch {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = Counted;

    fn call(&self, mut request: Request<Incoming>) -> Counted {
        if let Some(common_name) = &self.common_name {
            request.extensions_mut().insert(common_name.clone());
        }
        self.counted(request.map(Source::Connection))
    }
}

impl Dispatch {
    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// Room for WebSockets: they have left the connections that are counted.
    pub(super) fn websockets(&self) -> &Arc<Semaphore> {
        &self.websockets
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn gateway(&self) -> &gateway::Routes {
        &self.gateway
    }

    /// Answers a request of a connection or of the gateway, and counts it when it is a call.
    pub(super) fn counted(&self, request: Request<Source>) -> Counted {
        let metrics = self.front.handle.metrics();
        let call = metrics.grpc.start(request.uri().path(), request.headers().get(CLIENT_API_VERSION));
        let answer = self.guarded(request.map(|body| Received::new(body, call.as_ref().map(|call| (metrics, call)))));
        Counted::new(metrics, call, answer)
    }

    /// The services for a connection whose certificate has this name.
    pub(super) fn of(&self, common_name: Option<CommonName>) -> Self {
        Self { common_name, ..self.clone() }
    }

    /// Lets a call through if its sender may make it.
    fn guarded(&self, request: Request<Received>) -> Answer {
        // The path makes it a call, too: no content type must lead a request past the guard to a service.
        let is_call =
            is_grpc(&request) || request.uri().path().split('/').nth(1).is_some_and(|first| first.contains('.'));
        if !is_call || !self.front.guarded(request.uri().path()) {
            return self.route(request);
        }
        let dispatch = self.clone();
        Answer(Box::pin(async move {
            let metadata = MetadataMap::from_headers(request.headers().clone());
            let caller = dispatch.front.caller(metadata, request.extensions().clone());
            match dispatch.front.gate(request.uri().path(), &caller).await {
                Ok(()) => dispatch.route(request).await,
                Err(status) => Ok(status.into_http()),
            }
        }))
    }

    fn route(&self, request: Request<Received>) -> Answer {
        let path = request.uri().path();
        let (service, method) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
        if self.front.handle.is_learner() && is_grpc(&request) && !learner_serves(path) {
            return Answer(Box::pin(ready(Ok(Status::from(Error::Learner).into_http()))));
        }
        Answer(match service {
            "etcdserverpb.KV" if method == "Range" => answer(range::unary(Arc::clone(&self.front), request)),
            "etcdserverpb.KV" if method == "RangeStream" => answer(range::stream(Arc::clone(&self.front), request)),
            "etcdserverpb.KV" => self.kv.clone().call(request),
            "etcdserverpb.Watch" if method == "Watch" => answer(watch::watch(Arc::clone(&self.front), request)),
            "etcdserverpb.Lease" => self.lease.clone().call(request),
            "etcdserverpb.Cluster" => self.cluster.clone().call(request),
            "etcdserverpb.Maintenance" => self.maintenance.clone().call(request),
            "etcdserverpb.Auth" => self.auth.clone().call(request),
            "v3electionpb.Election" => self.election.clone().call(request),
            "v3lockpb.Lock" => self.lock.clone().call(request),
            "grpc.health.v1.Health" => self.health.clone().call(request),
            "etcdserverpb.Watch" => {
                let status = Status::unimplemented(format!("unknown method {method} for service {service}"));
                Box::pin(ready(Ok(status.into_http())))
            }
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                let mut reflection = self.reflection.clone();
                answer(async move {
                    let Ok(response) = reflection.call(request).await;
                    response
                })
            }
            _ if is_grpc(&request) => {
                let status = Status::unimplemented(format!("unknown service {service}"));
                Box::pin(ready(Ok(status.into_http())))
            }
            _ if gateway::PREFIXES.iter().any(|prefix| path.starts_with(prefix)) => {
                let dispatch = self.clone();
                Box::pin(async move { Ok(gateway::answer(dispatch, request).await) })
            }
            _ => {
                let (front, request) = (Arc::clone(&self.front), request.map(drop));
                Box::pin(async move { Ok(http::answer(&front, &request).await) })
            }
        })
    }
}

fn answer(response: impl Future<Output = Response<Body>> + Send + 'static) -> Answering {
    Box::pin(async move { Ok(response.await) })
}

/// The health of the port and of each of its services.
fn health(front: &Front) -> health::Service {
    let pool = DescriptorPool::decode(keelson_proto::ETCD_DESCRIPTORS).expect("the build made the descriptors");
    let names: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
    health::Service::new(front.leadership.clone(), front.shutdown.clone(), names)
}

/// Both versions of the reflection service, which differ in their names only.
fn reflection() -> Routes {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(keelson_proto::ETCD_DESCRIPTORS)
            .register_encoded_file_descriptor_set(health::FILE_DESCRIPTOR_SET)
    };
    let current = builder().build_v1().expect("the build made the descriptors");
    let former = builder().build_v1alpha().expect("the build made the descriptors");
    Routes::new(current).add_service(former).prepare()
}

/// What a member without a vote can answer from what it has. A range must be serializable, too. etcd's learners serve no
/// watches.
fn learner_serves(path: &str) -> bool {
    let other = !path.starts_with("/etcdserverpb.") && !path.starts_with("/v3");
    let own = [
        "/etcdserverpb.KV/Range",
        "/etcdserverpb.KV/RangeStream",
        "/etcdserverpb.Watch/Watch",
        "/etcdserverpb.Maintenance/Status",
        "/etcdserverpb.Maintenance/Snapshot",
    ];
    other || own.contains(&path)
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get(::http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
