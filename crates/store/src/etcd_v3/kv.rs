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

#[tonic::async_trait]
impl Kv for Front {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        self.serves(&request)?;
        validate::range(&request)?;
        let mut response = caller.range(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type RangeStreamStream = Empty<Result<RangeStreamResponse, Status>>;

    async fn range_stream(&self, _: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::internal("the port answers this itself"))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        validate::put(&request)?;
        self.check_size(&request)?;
        let mut response = caller.put(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        validate::delete_range(&request)?;
        self.check_size(&request)?;
        let mut response = caller.delete_range(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        validate::txn(&request, self.limits.txn_ops_max)?;
        // What is not proposed only has to fit into a message.
        if !validate::txn_is_read_only(&request) {
            self.check_size(&request)?;
        }
        let mut response = caller.txn(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let mut response = caller.compact(request).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }
}
