//! The body of a gRPC answer whose messages are bytes already.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;

use crate::etcd_v3::status_code;

/// What comes before a message: a byte that says "not compressed", and the length.
pub(super) const PREFIX_LEN: usize = 5;
/// gRPC clients in Go take no larger message, and etcd's server sends none.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// What the producer of an answer hands to its connection.
#[derive(Debug)]
pub(super) enum Part {
    Data(Bytes),
    /// The outcome; nothing follows.
    End(Status),
}

/// An answer as the connection sends it. It is polled only when the client has room.
pub(super) struct Reply {
    first: Option<Bytes>,
    rest: Rest,
}

enum Rest {
    /// From a producer. One that goes away without an end has waited too long for the client.
    Parts(mpsc::Receiver<Part>),
    /// Messages as they come.
    Messages(BoxStream<'static, Result<Bytes, Status>>),
    /// Only the trailers are left.
    Trailers,
    Nothing,
}

impl Reply {
    /// An answer of which all is known.
    pub(super) fn one(message: Bytes) -> Self {
        Self { first: Some(message), rest: Rest::Trailers }
    }

    /// An answer of which `first` is known and the rest is still being made.
    pub(super) fn parts(first: Option<Bytes>, parts: mpsc::Receiver<Part>) -> Self {
        Self { first, rest: Rest::Parts(parts) }
    }

    /// An answer that goes on as long as `messages`; an error is its outcome.
    pub(super) fn messages(messages: BoxStream<'static, Result<Bytes, Status>>) -> Self {
        Self { first: None, rest: Rest::Messages(messages) }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::new(self));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let status = match &mut self.rest {
            Rest::Nothing => return Poll::Ready(None),
            Rest::Trailers => Status::ok(""),
            Rest::Parts(parts) => match ready!(parts.poll_recv(context)) {
                Some(Part::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Part::End(status)) => status,
                None => status_code::stalled(),
            },
            Rest::Messages(messages) => match ready!(messages.poll_next_unpin(context)) {
                Some(Ok(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Some(Err(status)) => status,
                None => Status::ok(""),
            },
        };
        self.rest = Rest::Nothing;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }
}

/// The response to a call that may have been refused.
pub(super) fn respond(answer: Result<Reply, Status>) -> Response<Body> {
    match answer {
        Ok(reply) => reply.into_response(),
        Err(status) => status.into_http(),
    }
}

/// An empty message, to be filled and then sealed.
pub(super) fn message() -> Vec<u8> {
    message_with_room(0)
}

/// The same, with room for `bytes` behind the prefix.
pub(super) fn message_with_room(bytes: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(PREFIX_LEN + bytes);
    message.resize(PREFIX_LEN, 0);
    message
}

/// Writes the prefix of a message that is complete.
pub(super) fn seal(mut message: Vec<u8>) -> Result<Bytes, Status> {
    let prefix = prefix(message.len() - PREFIX_LEN)?;
    message[..PREFIX_LEN].copy_from_slice(&prefix);
    Ok(message.into())
}

/// What comes before a message of `bytes`.
pub(super) fn prefix(bytes: usize) -> Result<[u8; PREFIX_LEN], Status> {
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MESSAGE_BYTES_MAX);
    let Some(length) = length else {
        return Err(status_code::too_large_to_send(bytes, MESSAGE_BYTES_MAX));
    };
    let mut prefix = [0; PREFIX_LEN];
    prefix[1..].copy_from_slice(&length.to_be_bytes());
    Ok(prefix)
}
