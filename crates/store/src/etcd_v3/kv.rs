//! The KV service. Range and RangeStream never come here from the port: `range` answers them below the level of messages.

use futures::stream::Empty;
use keelson_proto::etcdserverpb::kv_server::Kv;
use keelson_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};
use tonic::{Request, Response, Status};

use super::front::Front;
use crate::validate;

/// A client of etcd has no fence.
const NO_FENCE: u64 = 0;

#[tonic::async_trait]
impl Kv for Front {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.admit(request.metadata())?;
        self.serves(request.get_ref())?;
        let mut response = self.handle.range(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type RangeStreamStream = Empty<Result<RangeStreamResponse, Status>>;

    async fn range_stream(&self, _: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::internal("the port answers this itself"))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.admit(request.metadata())?;
        validate::put(request.get_ref())?;
        self.check_size(request.get_ref())?;
        let mut response = self.handle.put(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        self.admit(request.metadata())?;
        validate::delete_range(request.get_ref())?;
        self.check_size(request.get_ref())?;
        let mut response = self.handle.delete_range(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.admit(request.metadata())?;
        validate::txn(request.get_ref(), self.limits.txn_ops_max)?;
        // What is not proposed only has to fit into a message.
        if !validate::txn_is_read_only(request.get_ref()) {
            self.check_size(request.get_ref())?;
        }
        let mut response = self.handle.txn(request.into_inner(), NO_FENCE).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.compact(request.into_inner()).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }
}
