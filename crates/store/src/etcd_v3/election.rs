//! The Election service: whoever is first under a name leads, and its key holds what it says.

mod observe;

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use keelson_proto::etcdserverpb::range_request::SortOrder;
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use keelson_proto::v3electionpb::election_server::Election;
use keelson_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ProclaimResponse,
    ResignRequest, ResignResponse,
};
use tonic::{Request, Response, Status};

use self::observe::Observation;
use super::candidacy::{self, Candidacy, Lost, if_created_at};
use super::front::Front;
use super::status_code::{ELECTION_WITHOUT_LEADER, LEADER_KEY_NOT_PROVIDED, NOT_THE_ELECTED};
use crate::Error;

#[tonic::async_trait]
impl Election for Front {
    async fn campaign(&self, request: Request<CampaignRequest>) -> Result<Response<CampaignResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let stop = self.stop(caller.metadata());
        let caller = Arc::new(caller);
        let CampaignRequest { name, lease, value } = request;
        let candidacy = Candidacy::join(self, Arc::clone(&caller), &name, lease, value.clone()).await?;
        if candidacy.held.as_ref().is_some_and(|held| *held != value) {
            let put = PutRequest { key: candidacy.key.clone(), value, lease: candidacy.lease, ..Default::default() };
            let put = Op::RequestPut(put);
            let response = if_created_at(&caller, &candidacy.key, candidacy.revision, put, None).await?;
            if !response.succeeded {
                return Err(Status::unknown(NOT_THE_ELECTED));
            }
        }
        let revision = candidacy.wait(stop).await.map_err(|lost| match lost {
            // etcd would name a leader that there is not; its clients know this as the end of their lease.
            Lost::Expired => Error::LeaseNotFound.into(),
            Lost::Store(error) => Status::from(error),
        })?;
        let leader = LeaderKey { name, key: candidacy.key.clone(), rev: candidacy.revision, lease: candidacy.lease };
        candidacy.keep();
        Ok(Response::new(CampaignResponse { header: Some(self.header(revision)), leader: Some(leader) }))
    }

    async fn proclaim(&self, request: Request<ProclaimRequest>) -> Result<Response<ProclaimResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let ProclaimRequest { leader, value } = request;
        let LeaderKey { key, rev, lease, .. } = leader.ok_or_else(|| Status::unknown(LEADER_KEY_NOT_PROVIDED))?;
        let lease = candidacy::lease_or_new(&caller, lease).await?;
        let put = Op::RequestPut(PutRequest { key: key.clone(), value, lease, ..Default::default() });
        let mut response = if_created_at(&caller, &key, rev, put, None).await?;
        if !response.succeeded {
            return Err(Status::unknown(NOT_THE_ELECTED));
        }
        self.complete(&mut response.header);
        Ok(Response::new(ProclaimResponse { header: response.header }))
    }

    /// Resigning twice, or too late, is no error, as in etcd.
    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let leader = request.leader.ok_or_else(|| Status::unknown(LEADER_KEY_NOT_PROVIDED))?;
        let delete = Op::RequestDeleteRange(DeleteRangeRequest { key: leader.key.clone(), ..Default::default() });
        let mut response = if_created_at(&caller, &leader.key, leader.rev, delete, None).await?;
        self.complete(&mut response.header);
        Ok(Response::new(ResignResponse { header: response.header }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let oldest = candidacy::candidates(&candidacy::prefix(&request.name), SortOrder::Ascend);
        let mut response = caller.range(oldest).await?;
        self.complete(&mut response.header);
        let leader = response.kvs.into_iter().next().ok_or_else(|| Status::unknown(ELECTION_WITHOUT_LEADER))?;
        Ok(Response::new(LeaderResponse { header: response.header, kv: Some(leader) }))
    }

    type ObserveStream = BoxStream<'static, Result<LeaderResponse, Status>>;

    async fn observe(&self, request: Request<LeaderRequest>) -> Result<Response<Self::ObserveStream>, Status> {
        let (caller, request) = self.enter(request)?;
        let stop = self.stop(caller.metadata());
        let observation = Observation::new(self.clone(), caller, &request.name, stop);
        Ok(Response::new(stream::unfold(observation, Observation::next).boxed()))
    }
}
