//! Counts a call on its way: its beginning, the bytes of both directions, and the code it ended with.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::{Code, Status};

use super::dispatch::Answer;
use crate::metrics::Metrics;
use crate::metrics::grpc::{Call, Method};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a call is counted by.
struct Count {
    metrics: Arc<Metrics>,
    call: Call,
    sent: Messages,
}

/// Counts the messages of a body, however it is cut into pieces: each has a head of five bytes, of which the last four are
/// its length.
#[derive(Default)]
struct Messages {
    head: [u8; HEAD_BYTES],
    /// How much of the head has come.
    known: usize,
    /// What is still to come of the message after it.
    left: usize,
}

const HEAD_BYTES: usize = 5;

impl Messages {
    /// How many messages end in `piece`.
    fn ended(&mut self, mut piece: &[u8]) -> u64 {
        let mut ended = 0;
        while !piece.is_empty() {
            if self.known < HEAD_BYTES {
                let (head, rest) = piece.split_at(piece.len().min(HEAD_BYTES - self.known));
                self.head[self.known..self.known + head.len()].copy_from_slice(head);
                self.known += head.len();
                piece = rest;
                let [_, length @ ..] = self.head;
                self.left = u32::from_be_bytes(length) as usize;
            } else {
                let taken = piece.len().min(self.left);
                self.left -= taken;
                piece = &piece[taken..];
            }
            if self.known == HEAD_BYTES && self.left == 0 {
                ended += 1;
                self.known = 0;
            }
        }
        ended
    }
}

/// An answer that is counted when it comes.
pub(super) struct Counted {
    answer: Answer,
    count: Option<Count>,
}

impl Counted {
    /// `call` is None for what is not a call.
    pub(super) fn new(metrics: &Arc<Metrics>, call: Option<Call>, answer: Answer) -> Self {
        Self { answer, count: call.map(|call| Count { metrics: Arc::clone(metrics), call, sent: Messages::default() }) }
    }
}

impl Future for Counted {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.answer).poll(context));
        let mut count = self.count.take();
        if let (Some(count), Some(code)) = (&mut count, code(response.headers())) {
            count.call.end(code);
        }
        Poll::Ready(Ok(response.map(|inner| CountedBody { inner, count })))
    }
}

/// The body of an answer.
pub(super) struct CountedBody {
    inner: tonic::body::Body,
    count: Option<Count>,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let (Some(count), Some(Ok(frame))) = (&mut self.count, &frame) {
            if let Some(data) = frame.data_ref() {
                count.metrics.grpc.sent_bytes.inc_by(data.len() as u64);
                count.call.method().messages_sent.inc_by(count.sent.ended(data));
            } else if let Some(code) = frame.trailers_ref().and_then(code) {
                count.call.end(code);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request, from a connection or made by the gateway.
pub(super) enum Source {
    Connection(Incoming),
    Gateway(tonic::body::Body),
}

/// The body of a request, counted.
pub(super) struct Received {
    source: Source,
    count: Option<(Arc<Metrics>, Arc<Method>, Messages)>,
}

impl Received {
    /// The bytes of a call are counted, and not those of other requests.
    pub(super) fn new(source: Source, call: Option<(&Arc<Metrics>, &Call)>) -> Self {
        let of = |(metrics, call): (&Arc<Metrics>, &Call)| {
            (Arc::clone(metrics), Arc::clone(call.method()), Messages::default())
        };
        let count = call.map(of);
        Self { source, count }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.source {
            Source::Connection(body) => {
                ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map_err(Into::into))
            }
            Source::Gateway(body) => ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map_err(Into::into)),
        };
        if let (Some((metrics, method, messages)), Some(Ok(frame))) = (&mut self.count, &frame)
            && let Some(data) = frame.data_ref()
        {
            metrics.grpc.received_bytes.inc_by(data.len() as u64);
            method.messages_received.inc_by(messages.ended(data));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Connection(body) => body.is_end_stream(),
            Source::Gateway(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Connection(body) => body.size_hint(),
            Source::Gateway(body) => body.size_hint(),
        }
    }
}

/// The code that headers or trailers carry.
fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d";
        for piece in 1..=body.len() {
            let mut messages = Messages::default();
            let ended: u64 = body.chunks(piece).map(|piece| messages.ended(piece)).sum();
            assert_eq!(ended, 3, "in pieces of {piece}");
        }
        assert_eq!(Messages::default().ended(&body[..9]), 1);
        assert_eq!(Messages::default().ended(&body[..7]), 0);
    }
}
