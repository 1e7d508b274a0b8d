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
use crate::metrics::grpc::Call;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a call is counted by.
struct Count {
    metrics: Arc<Metrics>,
    call: Call,
}

/// An answer that is counted when it comes.
pub(super) struct Counted {
    answer: Answer,
    count: Option<Count>,
}

impl Counted {
    /// `call` is None for what is not a call.
    pub(super) fn new(metrics: &Arc<Metrics>, call: Option<Call>, answer: Answer) -> Self {
        Self { answer, count: call.map(|call| Count { metrics: Arc::clone(metrics), call }) }
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
    metrics: Option<Arc<Metrics>>,
}

impl Received {
    /// `metrics` count the bytes of a call, and not those of other requests.
    pub(super) fn new(source: Source, metrics: Option<&Arc<Metrics>>) -> Self {
        Self { source, metrics: metrics.cloned() }
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
        if let (Some(metrics), Some(Ok(frame))) = (&self.metrics, &frame)
            && let Some(data) = frame.data_ref()
        {
            metrics.grpc.received_bytes.inc_by(data.len() as u64);
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
