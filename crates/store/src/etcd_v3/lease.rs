//! The Lease service.

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use keelson_proto::etcdserverpb::lease_server::Lease;
use keelson_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::front::Front;
use super::status_code;
use crate::Error;

/// What the TTL of a lease that does not exist reads as.
const TTL_OF_NO_LEASE: i64 = -1;

#[tonic::async_trait]
impl Lease for Front {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.lease_grant(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.lease_revoke(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type LeaseKeepAliveStream = BoxStream<'static, Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        self.admit(request.metadata())?;
        let stop = self.stop(request.metadata());
        let renewals = Renewals { front: self.clone(), stop, requests: request.into_inner(), ended: false };
        Ok(Response::new(stream::unfold(renewals, Renewals::next).boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let id = request.id;
        let mut response = match self.handle.lease_time_to_live(request).await {
            Err(Error::LeaseNotFound) => LeaseTimeToLiveResponse { id, ttl: TTL_OF_NO_LEASE, ..Default::default() },
            other => other?,
        };
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.lease_leases(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }
}

/// One stream of renewals. They are done one at a time and in order; the next request is read when the last answer was
/// taken, so a client that does not read its answers is held back by HTTP/2's flow control.
struct Renewals {
    front: Front,
    requests: Streaming<LeaseKeepAliveRequest>,
    stop: BoxFuture<'static, Error>,
    ended: bool,
}

impl Renewals {
    async fn next(mut self) -> Option<(Result<LeaseKeepAliveResponse, Status>, Self)> {
        if self.ended {
            return None;
        }
        let answer = tokio::select! {
            error = &mut self.stop => Err(error.into()),
            request = self.requests.message() => match request {
                Ok(request) => renew(&self.front, request?).await,
                Err(status) => Err(status_code::received(status)),
            },
        };
        self.ended = answer.is_err();
        Some((answer, self))
    }
}

/// Renews one lease. The header is taken before, so that its revision is never later than the renewal: a client must not
/// read "alive at revision 4" of a lease that was revoked at revision 3.
async fn renew(front: &Front, request: LeaseKeepAliveRequest) -> Result<LeaseKeepAliveResponse, Status> {
    let header = front.header(front.handle.revision());
    let id = request.id;
    let mut response = match front.handle.lease_keep_alive(request).await {
        Err(Error::LeaseNotFound) => LeaseKeepAliveResponse { id, ttl: 0, ..Default::default() },
        other => other?,
    };
    response.header = Some(header);
    Ok(response)
}
