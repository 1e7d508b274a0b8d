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
use super::guard::Caller;
use super::status_code;
use crate::Error;

/// What the TTL of a lease that does not exist reads as.
const TTL_OF_NO_LEASE: i64 = -1;

#[tonic::async_trait]
impl Lease for Front {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let mut response = caller.lease_grant(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let mut response = caller.lease_revoke(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type LeaseKeepAliveStream = BoxStream<'static, Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let stop = self.stop(request.metadata());
        let (caller, requests) = self.enter(request)?;
        let renewals = Renewals { front: self.clone(), caller, stop, requests, ended: false };
        Ok(Response::new(stream::unfold(renewals, Renewals::next).boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let id = request.id;
        let mut response = match caller.lease_time_to_live(request).await {
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
        let (caller, request) = self.enter(request)?;
        let mut response = caller.lease_leases(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }
}

/// One stream of renewals. They are done one at a time and in order; the next request is read when the last answer was
/// taken, so a client that does not read its answers is held back by HTTP/2's flow control.
struct Renewals {
    front: Front,
    caller: Caller,
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
                Ok(request) => renew(&self.front, &self.caller, request?).await,
                Err(status) => Err(status_code::received(status)),
            },
        };
        self.ended = answer.is_err();
        Some((answer, self))
    }
}

/// Renews one lease. The header is taken before, so that its revision is never later than the renewal: a client must not
/// read "alive at revision 4" of a lease that was revoked at revision 3.
async fn renew(
    front: &Front,
    caller: &Caller,
    request: LeaseKeepAliveRequest,
) -> Result<LeaseKeepAliveResponse, Status> {
    let header = front.header(front.handle.revision());
    let id = request.id;
    let mut response = match caller.lease_keep_alive(request).await {
        Err(Error::LeaseNotFound) => LeaseKeepAliveResponse { id, ttl: 0, ..Default::default() },
        other => other?,
    };
    response.header = Some(header);
    Ok(response)
}
