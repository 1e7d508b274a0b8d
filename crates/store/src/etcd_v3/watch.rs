//! The Watch service: many watches on one stream.
//!
//! A stream is one [`session::Session`], polled by the connection that carries it. There is no task and no queue between
//! the store's watchers and the connection: while a client does not read, HTTP/2's flow control stops the polling, the
//! store's bounded buffers of that client's watches fill, and these watches go on from history once the client reads again.

mod batch;
mod session;
mod turns;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use keelson_proto::etcdserverpb::watch_server::Watch;
use keelson_proto::etcdserverpb::{WatchRequest, WatchResponse};
use tonic::{Request, Response, Status, Streaming};

use self::session::Session;
use super::front::Front;

#[tonic::async_trait]
impl Watch for Front {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let stop = self.stop(request.metadata());
        let (caller, requests) = self.enter(request)?;
        let session = Session::new(self.clone(), caller, requests, stop);
        Ok(Response::new(stream::unfold(session, Session::next).boxed()))
    }
}
