//! For tests: an endpoint that has leases and nothing else.

use futures::stream::Empty;
use keelson_proto::etcdserverpb::lease_server::{Lease, LeaseServer};
use keelson_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, ResponseHeader,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

const TTL_SECONDS: i64 = 60;

/// A member that may have heard of other leases than the leader.
pub(super) struct Stub {
    pub cluster_id: u64,
    /// What it lists.
    pub listed: Vec<i64>,
    /// What the leader has.
    pub living: Vec<i64>,
}

impl Stub {
    /// Serves for as long as the runtime lives; gives the URL.
    pub(super) async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let server = tonic::transport::Server::builder().add_service(LeaseServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        url
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: self.cluster_id, ..ResponseHeader::default() })
    }
}

#[tonic::async_trait]
impl Lease for Stub {
    type LeaseKeepAliveStream = Empty<Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_leases(&self, _: Request<LeaseLeasesRequest>) -> Result<Response<LeaseLeasesResponse>, Status> {
        let leases = self.listed.iter().map(|id| LeaseStatus { id: *id }).collect();
        Ok(Response::new(LeaseLeasesResponse { header: self.header(), leases }))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let id = request.into_inner().id;
        let (ttl, granted_ttl) = if self.living.contains(&id) { (TTL_SECONDS, TTL_SECONDS) } else { (-1, 0) };
        Ok(Response::new(LeaseTimeToLiveResponse { header: self.header(), id, ttl, granted_ttl, keys: Vec::new() }))
    }

    async fn lease_grant(&self, _: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn lease_revoke(&self, _: Request<LeaseRevokeRequest>) -> Result<Response<LeaseRevokeResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn lease_keep_alive(
        &self,
        _: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
