//! `keelson.node.v1.Nodes`: the streams that agents open.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use keelson_proto::keelson::node::v1::nodes_server::Nodes;
use keelson_proto::keelson::node::v1::{TunnelRequest, TunnelResponse};
use keelson_types::status::Status;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};
use tracing::debug;

use super::user;
use crate::pipeline::{Pipeline, User};
use crate::status_code::grpc;

pub struct Service {
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>) -> Service {
        Service { pipeline }
    }
}

#[tonic::async_trait]
impl Nodes for Service {
    type TunnelStream = Pin<Box<dyn Stream<Item = Result<TunnelResponse, tonic::Status>> + Send>>;

    async fn tunnel(
        &self,
        request: Request<Streaming<TunnelRequest>>,
    ) -> Result<Response<Self::TunnelStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        if !user.may_host_nodes() {
            return Err(grpc(&refused(&user)));
        }
        let mut incoming = request.into_inner();
        let tunnels = self.pipeline.tunnels().clone();
        let stopping = self.pipeline.shutdown().clone();
        let (tunnel, outgoing) = tunnels.open();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = incoming.next() => message,
                    () = stopping.cancelled() => break,
                };
                let outcome = match message {
                    Some(Ok(message)) => tunnels.receive(&tunnel, message),
                    Some(Err(error)) => {
                        debug!(user = user.name, %error, "an agent's stream broke");
                        break;
                    }
                    None => break,
                };
                if let Err(status) = outcome {
                    debug!(user = user.name, %status, "an agent broke the protocol");
                    break;
                }
            }
            // The last sender goes with the tunnel, which ends the answer's side too.
            tunnels.close(&tunnel);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing).map(Ok))))
    }
}

fn refused(user: &User) -> Status {
    Status::forbidden("", "", "", &format!("User {:?} may not host nodes", user.name))
}
