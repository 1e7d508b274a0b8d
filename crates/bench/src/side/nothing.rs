//! A gRPC server that does no work: it answers at once, always the same. What clients reach with it is what they can reach at
//! all on this machine. It is made of tonic; a server that does without may come close to it, or pass it, and still do its work.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use anyhow::Context;
use bytes::Bytes;
use keelson_proto::etcdserverpb as pb;
use keelson_proto::etcdserverpb::kv_server::{Kv, KvServer};
use keelson_proto::etcdserverpb::lease_server::{Lease, LeaseServer};
use keelson_proto::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use keelson_proto::mvccpb::KeyValue;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use super::certificates::{Certificates, ClientFiles};
use crate::options::Options;
use crate::works;

/// The one revision there ever is.
const REVISION: i64 = 1;
/// Where `etcdctl check perf` puts its keys.
const CHECK_PERF_PREFIX: &[u8] = b"/etcdctl-check-perf/";

/// The running server; dropping it ends it.
pub struct Nothing {
    addresses: Vec<SocketAddr>,
    certificates: Option<Certificates>,
    /// Its threads are its own: the clients' one must not do its work.
    runtime: Option<tokio::runtime::Runtime>,
    _folder: tempfile::TempDir,
}

impl Nothing {
    /// Starts it, with as many ports as the others have members.
    ///
    /// # Errors
    /// When a port cannot be opened.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let certificates = options.tls.then(|| Certificates::create(folder.path())).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let answers = Answers::new();
        let mut addresses = Vec::new();
        for _ in 0..options.members {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses.push(listener.local_addr()?);
            let mut server = Server::builder();
            if let Some(certificates) = &certificates {
                server = server.tls_config(tls(certificates)?)?;
            }
            let router = server
                .add_service(KvServer::new(answers.clone()))
                .add_service(LeaseServer::new(answers.clone()))
                .add_service(MaintenanceServer::new(answers.clone()));
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
                router.serve_with_incoming(incoming).await.context("the no-op server failed")
            });
        }
        Ok(Self { addresses, certificates, runtime: Some(runtime), _folder: folder })
    }

    /// Where it serves.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// What clients need if TLS is on.
    pub fn client_files(&self) -> Option<ClientFiles> {
        Some(self.certificates.as_ref()?.client.clone())
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn tls(certificates: &Certificates) -> anyhow::Result<ServerTlsConfig> {
    let (certificate, key) = &certificates.server;
    Ok(ServerTlsConfig::new()
        .identity(Identity::from_pem(std::fs::read(certificate)?, std::fs::read(key)?))
        .client_ca_root(Certificate::from_pem(std::fs::read(&certificates.authority)?)))
}

/// What it answers.
#[derive(Clone)]
struct Answers {
    pair: KeyValue,
}

impl Answers {
    fn new() -> Self {
        let pair = KeyValue {
            key: Bytes::from_static(b"/bench/nothing/00000000"),
            value: vec![b'v'; works::VALUE_BYTES].into(),
            create_revision: REVISION,
            mod_revision: REVISION,
            version: 1,
            ..KeyValue::default()
        };
        Self { pair }
    }
}

fn header() -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { cluster_id: 1, member_id: 1, revision: REVISION, raft_term: 1 })
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not served by the no-op server"))
}

#[tonic::async_trait]
impl Kv for Answers {
    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

    async fn put(&self, _: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        Ok(Response::new(pb::PutResponse { header: header(), ..pb::PutResponse::default() }))
    }

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        // `etcdctl check perf` makes sure that it overwrites nothing.
        let prefix_is_free = request.get_ref().key.starts_with(CHECK_PERF_PREFIX);
        let kvs: Vec<_> = (!prefix_is_free).then(|| self.pair.clone()).into_iter().collect();
        Ok(Response::new(pb::RangeResponse {
            header: header(),
            count: kvs.len() as i64,
            kvs,
            ..pb::RangeResponse::default()
        }))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let put = pb::response_op::Response::ResponsePut(pb::PutResponse { header: header(), prev_kv: None });
        let responses = vec![pb::ResponseOp { response: Some(put) }; request.get_ref().success.len()];
        Ok(Response::new(pb::TxnResponse { header: header(), succeeded: true, responses }))
    }

    async fn delete_range(
        &self,
        _: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        Ok(Response::new(pb::DeleteRangeResponse { header: header(), ..pb::DeleteRangeResponse::default() }))
    }

    async fn range_stream(&self, _: Request<pb::RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        not_served()
    }

    async fn compact(&self, _: Request<pb::CompactionRequest>) -> Result<Response<pb::CompactionResponse>, Status> {
        not_served()
    }
}

#[tonic::async_trait]
impl Lease for Answers {
    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let pb::LeaseGrantRequest { id, ttl } = request.into_inner();
        Ok(Response::new(pb::LeaseGrantResponse { header: header(), id, ttl, ..pb::LeaseGrantResponse::default() }))
    }

    async fn lease_revoke(
        &self,
        _: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        Ok(Response::new(pb::LeaseRevokeResponse { header: header() }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let answers = request.into_inner().map(|asked| {
            asked.map(|asked| pb::LeaseKeepAliveResponse { header: header(), id: asked.id, ttl: works::LEASE_SECONDS })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        _: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        not_served()
    }

    async fn lease_leases(
        &self,
        _: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        not_served()
    }
}

#[tonic::async_trait]
impl Maintenance for Answers {
    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        Ok(Response::new(pb::StatusResponse { header: header(), leader: 1, ..pb::StatusResponse::default() }))
    }

    async fn alarm(&self, _: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        not_served()
    }

    async fn defragment(&self, _: Request<pb::DefragmentRequest>) -> Result<Response<pb::DefragmentResponse>, Status> {
        not_served()
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        not_served()
    }

    async fn hash_kv(&self, _: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        not_served()
    }

    async fn snapshot(&self, _: Request<pb::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        not_served()
    }

    async fn move_leader(&self, _: Request<pb::MoveLeaderRequest>) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        not_served()
    }

    async fn downgrade(&self, _: Request<pb::DowngradeRequest>) -> Result<Response<pb::DowngradeResponse>, Status> {
        not_served()
    }
}
