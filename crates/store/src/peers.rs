//! The other members, and connections to them.
//!
//! Connections are made when they are first used and again after they broke. Each purpose has its own, so that a vote
//! never waits behind a snapshot.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::TryFutureExt as _;
use futures::future::{Either, ErrInto};
use keelson_proto::keelson::raft::v1::forward_client::ForwardClient;
use keelson_proto::keelson::raft::v1::raft_client::RaftClient;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::{InterceptedService, ResponseBody};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tower::Service;

use crate::machine::{self, Machine};
use crate::options::{self, Options};

/// The largest message between members. An append request holds what one read of the log gives, 4 MiB, and the entry that
/// crossed that bound, which is a whole request of [`crate::options::REQUEST_BYTES_MAX`] at most.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A member on the same network answers much sooner, one that is cut off never.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A silent connection is probed so often, and given up after as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// What may be under way unread: the pipeline must not wait for the window.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The header in which a member says which cluster it is of.
const CLUSTER_HEADER: &str = "keelson-cluster-id";

/// A channel on which each request names the cluster.
#[derive(Clone)]
pub(crate) enum Connection {
    Network(InterceptedService<Channel, ClusterId>),
    Simulated(InterceptedService<machine::Channel, ClusterId>),
}

type Answer = http::Response<ResponseBody<Body>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<http::Request<Body>> for Connection {
    type Response = Answer;
    type Error = BoxError;
    type Future = Either<
        ErrInto<<InterceptedService<Channel, ClusterId> as Service<http::Request<Body>>>::Future, BoxError>,
        ErrInto<<InterceptedService<machine::Channel, ClusterId> as Service<http::Request<Body>>>::Future, BoxError>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Network(channel) => channel.poll_ready(context).map_err(Into::into),
            Self::Simulated(channel) => channel.poll_ready(context),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self {
            Self::Network(channel) => Either::Left(channel.call(request).err_into()),
            Self::Simulated(channel) => Either::Right(channel.call(request).err_into()),
        }
    }
}

/// Names the cluster in requests, and refuses requests that name another.
#[derive(Clone, Debug)]
pub(crate) struct ClusterId(MetadataValue<Ascii>);

impl ClusterId {
    pub(crate) fn new(cluster_id: u64) -> Self {
        Self(MetadataValue::from(cluster_id))
    }

    /// For the serving side.
    pub(crate) fn check<T>(&self, request: Request<T>) -> Result<Request<T>, Status> {
        match request.metadata().get(CLUSTER_HEADER) {
            Some(id) if *id == self.0 => Ok(request),
            _ => Err(Status::permission_denied("the request is of another cluster")),
        }
    }
}

impl Interceptor for ClusterId {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CLUSTER_HEADER, self.0.clone());
        Ok(request)
    }
}

/// Another member, or this one (with which nobody speaks).
pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: String,
    /// Where clients reach its etcd port, once it was heard of.
    pub(crate) store_url: ArcSwap<String>,
    appends: Connection,
    control: Connection,
    snapshots: Connection,
    forwards: Connection,
}

fn raft_client(connection: &Connection) -> RaftClient<Connection> {
    RaftClient::new(connection.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl Peer {
    /// For the stream of appends.
    pub(crate) fn appends(&self) -> RaftClient<Connection> {
        raft_client(&self.appends)
    }

    /// For votes, heartbeats and whatever is short and urgent.
    pub(crate) fn control(&self) -> RaftClient<Connection> {
        raft_client(&self.control)
    }

    /// For snapshots.
    pub(crate) fn snapshots(&self) -> RaftClient<Connection> {
        raft_client(&self.snapshots)
    }

    /// For clients' requests.
    pub(crate) fn forwards(&self) -> ForwardClient<Connection> {
        ForwardClient::new(self.forwards.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// For questions about the member itself.
    pub(crate) fn questions(&self) -> ForwardClient<Connection> {
        ForwardClient::new(self.control.clone())
    }
}

/// All members by id, this one included.
#[derive(Clone)]
pub(crate) struct Peers {
    own_id: u64,
    all: Arc<BTreeMap<u64, Peer>>,
}

impl Peers {
    /// # Errors
    /// When an address or the TLS configuration cannot be used.
    pub(crate) fn new(options: &Options, tls: &ClientTlsConfig) -> Result<Self, tonic::transport::Error> {
        Self::over(options, |address, cluster| {
            let endpoint = Endpoint::from_shared(format!("https://{address}"))?
                .tls_config(tls.clone())?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            Ok(Connection::Network(InterceptedService::new(endpoint.connect_lazy(), cluster)))
        })
    }

    /// Over the network of a simulated machine.
    pub(crate) fn simulated(options: &Options, machine: &Machine) -> Self {
        let connect = |address: &str, cluster| {
            let channel = machine.world().connect(address);
            Ok::<_, Infallible>(Connection::Simulated(InterceptedService::new(channel, cluster)))
        };
        match Self::over(options, connect) {
            Ok(peers) => peers,
            Err(never) => match never {},
        }
    }

    fn over<E>(options: &Options, connect: impl Fn(&str, ClusterId) -> Result<Connection, E>) -> Result<Self, E> {
        let cluster = ClusterId::new(options.cluster_id());
        let mut all = BTreeMap::new();
        for peer in &options.peers {
            let id = options::member_id(&options.cluster_token, &peer.name);
            let connect = || connect(&peer.address, cluster.clone());
            let own_url = if peer.name == options.name { options.store_url() } else { String::new() };
            all.insert(
                id,
                Peer {
                    id,
                    name: peer.name.clone(),
                    address: peer.address.clone(),
                    store_url: ArcSwap::from_pointee(own_url),
                    appends: connect()?,
                    control: connect()?,
                    snapshots: connect()?,
                    forwards: connect()?,
                },
            );
        }
        Ok(Self { own_id: options.member_id(), all: Arc::new(all) })
    }

    pub(crate) fn own_id(&self) -> u64 {
        self.own_id
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Peer> {
        self.all.get(&id)
    }

    /// Every member, by ascending id.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        self.all.values()
    }

    /// Every member but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Peer> {
        self.all.values().filter(|peer| peer.id != self.own_id)
    }

    /// How many members are more than half of all.
    pub(crate) fn quorum(&self) -> usize {
        self.all.len() / 2 + 1
    }
}
