//! `keelson.api.v1.Pods`.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use keelson_proto::keelson::api::v1::pods_server::Pods;
use keelson_proto::keelson::api::v1::{LogsRequest, LogsResponse};
use keelson_types::status::{Reason, Status};
use tonic::{Code, Request, Response};

use super::user;
use crate::pipeline::Pipeline;
use crate::status_code::{grpc, grpc_with};

pub struct Service {
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>) -> Service {
        Service { pipeline }
    }
}

/// Kubernetes tells a container that has not started as BadRequest; here that is a state, not a mistake.
fn told(status: &Status) -> tonic::Status {
    let waits = status.reason == Reason::BadRequest && status.message.contains("is waiting to start");
    if waits { grpc_with(Code::FailedPrecondition, status) } else { grpc(status) }
}

#[tonic::async_trait]
impl Pods for Service {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<LogsResponse, tonic::Status>> + Send>>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let logs = self.pipeline.logs(&user, request.into_inner()).await.map_err(|status| told(&status))?;
        let chunks = stream::unfold(logs, |mut logs| async move {
            let chunk = logs.next().await?;
            let response = chunk.map(|data| LogsResponse { data }).map_err(|status| grpc(&status));
            Some((response, logs))
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}
