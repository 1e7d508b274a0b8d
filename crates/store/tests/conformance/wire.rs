//! A connection on which no answer, and no part of one, is waited for longer than a server may take.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{self, Channel};
use tower::Service;

use crate::patience::Patience;

#[derive(Clone)]
pub struct Wire {
    channel: Channel,
    patience: Patience,
}

impl Wire {
    pub fn new(channel: Channel, patience: Patience) -> Self {
        Self { channel, patience }
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.channel.poll_ready(context).map_err(broken)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, patience) = (self.channel.call(request), self.patience.clone());
        Box::pin(async move {
            let response = patience.wait(answer).await?.map_err(broken)?;
            Ok(response.map(|body| bounded(body, patience)))
        })
    }
}

fn broken(error: transport::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// The same, until a part of it does not come.
fn bounded(body: Body, patience: Patience) -> Body {
    let frames = futures::stream::unfold(Some((body, patience)), |left| async move {
        let (mut body, patience) = left?;
        match patience.wait(body.frame()).await {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some((body, patience)))),
            Ok(None) => None,
            Ok(Some(Err(status))) | Err(status) => Some((Err(status), None)),
        }
    });
    Body::new(StreamBody::new(frames))
}
