//! The Watch service: many watches on one stream.
//!
//! A stream is one [`session::Session`], polled by the connection that carries it. There is no task and no queue between
//! the store's watchers and the connection: while a client does not read, HTTP/2's flow control stops the polling, the
//! store's bounded buffers of that client's watches fill, and these watches go on from history once the client reads again.

mod messages;
mod session;
mod turns;

use std::sync::Arc;

use ::http::{Request, Response};
use futures::StreamExt as _;
use futures::stream;
use keelson_proto::etcdserverpb::{WatchRequest, WatchResponse};
use tonic::body::Body;
use tonic::codec::Codec as _;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use self::session::Session;
use super::front::Front;
use super::measure::Received;
use super::reply::{self, Reply};

/// Answers Watch.Watch.
pub(super) async fn watch(front: Arc<Front>, request: Request<Received>) -> Response<Body> {
    reply::respond(answer(&front, request))
}

fn answer(front: &Front, request: Request<Received>) -> Result<Reply, Status> {
    let (parts, body) = request.into_parts();
    let decoder = ProstCodec::<WatchResponse, WatchRequest>::default().decoder();
    let requests = Streaming::new_request(decoder, body, None, Some(front.message_bytes_max()));
    let metadata = MetadataMap::from_headers(parts.headers);
    front.admit(&metadata)?;
    let stop = front.stop(&metadata);
    let caller = front.caller(metadata, parts.extensions);
    let session = Box::new(Session::new(front.clone(), caller, requests, stop));
    let messages = stream::unfold(session, |mut session| async move { Some((session.next().await?, session)) });
    Ok(Reply::messages(messages.boxed()))
}
