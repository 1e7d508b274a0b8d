//! KV.Range and KV.RangeStream, written as bytes rather than as messages.
//!
//! Pairs go from the pinned place in the database into the segments of the answer, each copied once. What one answer holds
//! in memory is bounded whatever its size: a unary one that is larger than [`Lists::hold_bytes`] is measured first, since its
//! length comes before its content, and then read again from the same pinned place while it is sent.

mod lists;
mod produce;
mod sorted;
mod stream;
mod unary;

use std::sync::Arc;

use ::http::{Request, Response};
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse};
use prost::Message as _;
use tonic::body::Body;
use tonic::codec::Codec as _;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

pub(super) use self::lists::Lists;
use super::front::Front;
use super::guard::Caller;
use super::measure::Received;
use super::reply::{self, Reply};
use super::status_code;
use crate::state::listing::End;

/// What is read before an answer counts against the bound of all lists: most lists are smaller.
const FIRST_BYTES: usize = 64 << 10;
/// What is read and sent at a time.
const SEGMENT_BYTES: usize = 256 << 10;

/// Answers KV.Range.
pub(super) async fn unary(front: Arc<Front>, request: Request<Received>) -> Response<Body> {
    reply::respond(unary::answer(&front, request).await)
}

/// Answers KV.RangeStream.
pub(super) async fn stream(front: Arc<Front>, request: Request<Received>) -> Response<Body> {
    reply::respond(stream::answer(&front, request).await)
}

/// Reads the one message of a request. Refuses it when it requires a leader and there is none.
async fn receive(front: &Front, request: Request<Received>) -> Result<(Caller, RangeRequest), Status> {
    let (parts, body) = request.into_parts();
    let decoder = ProstCodec::<RangeResponse, RangeRequest>::default().decoder();
    let mut messages = Streaming::new_request(decoder, body, None, Some(front.message_bytes_max()));
    let message = messages.message().await.map_err(status_code::received)?;
    let message = message.ok_or_else(|| Status::internal("the request has no message"))?;
    let metadata = MetadataMap::from_headers(parts.headers);
    front.admit(&metadata)?;
    Ok((front.caller(metadata, parts.extensions), message))
}

/// What an answer has beside its pairs.
fn frame(front: &Front, end: End) -> RangeResponse {
    RangeResponse {
        header: Some(front.header(end.revision)),
        more: end.more,
        count: end.count,
        ..RangeResponse::default()
    }
}

/// A whole answer of one message.
fn one_message(response: &RangeResponse) -> Result<Reply, Status> {
    let mut message = reply::message();
    response.encode(&mut message).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Reply::one(reply::seal(message)?))
}
