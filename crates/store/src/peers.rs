//! The other members, and connections to them.
//!
//! Connections are made when they are first used and again after they broke. Each purpose has its own, so that a vote
//! never waits behind a snapshot.

mod dial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::TryFutureExt as _;
use futures::future::{Either, ErrInto};
use keelson_proto::keelson::raft::v1::forward_client::ForwardClient;
use keelson_proto::keelson::raft::v1::raft_client::RaftClient;
use keelson_proto::keelson::store::v1::MemberRecord;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::{InterceptedService, ResponseBody};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::Service;

use crate::machine::{self, Machine};
use crate::options::{self, Options};
use crate::peer_tls;
use crate::raft::log::Identity;

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
/// The header in which it says which member it means to speak to: an address may lead to another one, whose vote and whose
/// disk would then count twice.
const MEMBER_HEADER: &str = "keelson-member-id";

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

/// Names the cluster and the serving member in requests, and refuses requests that name others.
#[derive(Clone, Debug)]
pub(crate) struct ClusterId {
    cluster: MetadataValue<Ascii>,
    /// None for a member of which nothing but the address is known.
    serving: Option<MetadataValue<Ascii>>,
}

impl ClusterId {
    pub(crate) fn new(cluster_id: u64) -> Self {
        Self { cluster: MetadataValue::from(cluster_id), serving: None }
    }

    /// The same, at one member.
    pub(crate) fn at(&self, member_id: u64) -> Self {
        Self { cluster: self.cluster.clone(), serving: Some(MetadataValue::from(member_id)) }
    }

    /// For the serving side.
    pub(crate) fn check<T>(&self, request: Request<T>) -> Result<Request<T>, Status> {
        if request.metadata().get(CLUSTER_HEADER) != Some(&self.cluster) {
            return Err(Status::permission_denied("the request is of another cluster"));
        }
        match (request.metadata().get(MEMBER_HEADER), &self.serving) {
            (Some(meant), Some(own)) if meant != own => {
                Err(Status::unavailable("the request is for another member, which is not at this address"))
            }
            _ => Ok(request),
        }
    }
}

impl Interceptor for ClusterId {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CLUSTER_HEADER, self.cluster.clone());
        if let Some(member) = &self.serving {
            request.metadata_mut().insert(MEMBER_HEADER, member.clone());
        }
        Ok(request)
    }
}

/// Another member, or this one (with which nobody speaks).
pub(crate) struct Peer {
    pub(crate) id: u64,
    /// `host:port` at which this member dials it.
    pub(crate) address: String,
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

type Connect = dyn Fn(&str, ClusterId) -> Result<Connection, tonic::transport::Error> + Send + Sync;

/// Makes connections to addresses.
pub(crate) struct Connector {
    connect: Box<Connect>,
}

impl Connector {
    /// Over TCP and TLS.
    pub(crate) fn network(tls: peer_tls::Client) -> Self {
        let tls = Arc::new(tls);
        let connect = move |address: &str, cluster: ClusterId| {
            // TLS is spoken below HTTP, so HTTP takes it for clear text.
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            let channel = endpoint.connect_with_connector_lazy(dial::Dial::new(&tls));
            Ok(Connection::Network(InterceptedService::new(channel, cluster)))
        };
        Self { connect: Box::new(connect) }
    }

    /// Over the network of a simulated machine.
    pub(crate) fn simulated(machine: Machine) -> Self {
        let connect = move |address: &str, cluster: ClusterId| {
            let channel = machine.world().connect(address);
            Ok(Connection::Simulated(InterceptedService::new(channel, cluster)))
        };
        Self { connect: Box::new(connect) }
    }

    /// A client for one question to a member whose cluster is not known yet.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub(crate) fn stranger(&self, address: &str) -> Result<ForwardClient<Connection>, tonic::transport::Error> {
        Ok(ForwardClient::new((self.connect)(address, ClusterId::new(0))?))
    }

    fn peer(&self, id: u64, address: &str, cluster: &ClusterId) -> Result<Peer, tonic::transport::Error> {
        let connect = || (self.connect)(address, cluster.at(id));
        Ok(Peer {
            id,
            address: address.to_owned(),
            appends: connect()?,
            control: connect()?,
            snapshots: connect()?,
            forwards: connect()?,
        })
    }
}

type Table = BTreeMap<u64, Arc<Peer>>;

/// All members by id, this one included. Clones are the same table, which follows the replicated list of members.
#[derive(Clone)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    own_id: u64,
    cluster: ClusterId,
    connector: Connector,
    /// Where this member was told to dial the members that it was started with.
    given: BTreeMap<u64, String>,
    table: ArcSwap<Table>,
}

impl Peers {
    /// The members of `options`, until the replicated list is known.
    ///
    /// # Errors
    /// When an address or the TLS configuration cannot be used.
    pub(crate) fn new(
        options: &Options,
        identity: Identity,
        connector: Connector,
    ) -> Result<Self, tonic::transport::Error> {
        let id = |peer: &options::Peer| {
            let own = peer.name == options.name;
            if own { identity.member_id } else { options::member_id(&options.cluster_token, &peer.name) }
        };
        let given: BTreeMap<u64, String> = options.peers.iter().map(|peer| (id(peer), peer.address.clone())).collect();
        let cluster = ClusterId::new(identity.cluster_id);
        let peer = |(id, address): (&u64, &String)| Ok((*id, Arc::new(connector.peer(*id, address, &cluster)?)));
        let table = given.iter().map(peer).collect::<Result<Table, tonic::transport::Error>>()?;
        let table = ArcSwap::from_pointee(table);
        Ok(Self { shared: Arc::new(Shared { own_id: identity.member_id, cluster, connector, given, table }) })
    }

    /// Follows the list of members. One that is no longer in it, but was `removed`, stays while it is `needed`, because
    /// consensus has not let it go yet. Connections to an address that did not change stay as they are.
    pub(crate) fn follow(&self, members: &[MemberRecord], removed: &[MemberRecord], needed: &BTreeSet<u64>) {
        if members.is_empty() {
            return;
        }
        let leaving = removed.iter().filter(|record| needed.contains(&record.id));
        let old = self.shared.table.load();
        let kept = old.iter().filter(|(id, _)| needed.contains(id)).map(|(id, peer)| (*id, Arc::clone(peer)));
        let mut new: Table = kept.collect();
        for record in leaving.chain(members) {
            let given = self.shared.given.get(&record.id).filter(|_| !record.moved);
            let Some(address) = given.cloned().or_else(|| address(record)) else { continue };
            if let Some(peer) = old.get(&record.id).filter(|peer| peer.address == address) {
                new.insert(record.id, Arc::clone(peer));
                continue;
            }
            match self.shared.connector.peer(record.id, &address, &self.shared.cluster) {
                Ok(peer) => drop(new.insert(record.id, Arc::new(peer))),
                Err(error) => tracing::warn!(%error, address, "a member's address cannot be used"),
            }
        }
        let same = new.len() == old.len()
            && new.iter().all(|(id, peer)| old.get(id).is_some_and(|before| Arc::ptr_eq(before, peer)));
        if !same {
            self.shared.table.store(Arc::new(new));
        }
    }

    /// Ways to whoever is at the addresses of the others that this member was started with, whatever their ids are.
    pub(crate) fn unnamed(&self) -> Vec<(String, ForwardClient<Connection>)> {
        let Shared { own_id, cluster, connector, given, .. } = &*self.shared;
        let others = given.iter().filter(|(id, _)| *id != own_id);
        let way = |(_, address): (&u64, &String)| {
            let connected = (connector.connect)(address, cluster.clone());
            let connected = connected.inspect_err(|error| tracing::warn!(%error, address, "an address cannot be used"));
            Some((address.clone(), ForwardClient::new(connected.ok()?)))
        };
        others.filter_map(way).collect()
    }

    pub(crate) fn own_id(&self) -> u64 {
        self.shared.own_id
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Peer>> {
        self.shared.table.load().get(&id).cloned()
    }

    /// Every member, by ascending id.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.shared.table.load().values().cloned().collect()
    }

    /// Every member but this one.
    pub(crate) fn others(&self) -> Vec<Arc<Peer>> {
        self.shared.table.load().values().filter(|peer| peer.id != self.shared.own_id).cloned().collect()
    }
}

/// Where a member is to be dialled: its first peer URL without the scheme.
fn address(record: &MemberRecord) -> Option<String> {
    options::url_authority(record.peer_urls.first()?)
}
