//! The Lock service: whoever is first under a name holds it, as long as its lease lives.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::etcdserverpb::DeleteRangeRequest;
use keelson_proto::v3lockpb::lock_server::Lock;
use keelson_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Request, Response, Status};

use super::candidacy::{Candidacy, Lost};
use super::front::Front;
use super::status_code::LOCK_EXPIRED;

#[tonic::async_trait]
impl Lock for Front {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let stop = self.stop(caller.metadata());
        let candidacy = Candidacy::join(self, Arc::new(caller), &request.name, request.lease, Bytes::new()).await?;
        let revision = candidacy.wait(stop).await.map_err(|lost| match lost {
            Lost::Expired => Status::unknown(LOCK_EXPIRED),
            Lost::Store(error) => error.into(),
        })?;
        let key = candidacy.key.clone();
        candidacy.keep();
        Ok(Response::new(LockResponse { header: Some(self.header(revision)), key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let delete = DeleteRangeRequest { key: request.key, ..DeleteRangeRequest::default() };
        let mut response = caller.delete_range(delete).await?;
        self.complete(&mut response.header);
        Ok(Response::new(UnlockResponse { header: response.header }))
    }
}
