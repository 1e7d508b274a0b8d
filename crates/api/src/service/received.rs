//! The body of a request as it comes in: counted by what was received, and given a time to arrive.
//!
//! **Invariant**: what was received of a body, and what its objects take once it is decoded, is taken from the budget before
//! anybody reads it; a request whose body is not there yet holds no place among those that are worked on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use keelson_types::status::{Reason, Status};
use parking_lot::Mutex;
use tokio::time::Sleep;

use super::pool::{Pool, Taken, Who};

/// What a piece of a body takes beside its bytes, so that many small ones are counted, too.
const PIECE_BYTES: usize = 64;
/// How many times its text an object takes while it is worked on: its values, what becomes of them, and the new text.
const DECODED_TIMES: usize = 4;
/// What is read, and thrown away, of a body after its request was refused, so that the client gets to read the answer.
const DRAIN_BYTES_MAX: usize = 16 << 20;
/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The refusal of a body while it is read, for both fronts to find among the causes of the error that they get.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request was refused")]
pub struct Refused {
    pub status: Status,
    /// As tonic looks for it.
    #[source]
    grpc: tonic::Status,
}

impl Refused {
    fn new(status: Status) -> Refused {
        let grpc = crate::status_code::grpc(&status);
        Refused { status, grpc }
    }

    /// The one behind an error, if there is one.
    pub fn find<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Status> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<Refused>() {
                return Some(&refused.status);
            }
            cause = error.source();
        }
        None
    }
}

/// What one request holds, until its answer is sent.
#[derive(Debug)]
pub struct Account {
    working: Pool,
    state: Mutex<State>,
    who: Who,
}

#[derive(Debug)]
struct State {
    bytes: Taken,
    /// Among those whose bodies are still to come.
    receiving: Option<Taken>,
    place: Option<Taken>,
    /// Of the body, so far.
    received: usize,
    /// The rest of a body that nobody wants any more.
    rest: Option<Body>,
}

impl Account {
    pub fn new(who: Who, working: Pool, bytes: Taken, receiving: Option<Taken>, place: Option<Taken>) -> Arc<Account> {
        let state = Mutex::new(State { bytes, receiving, place, received: 0, rest: None });
        Arc::new(Account { working, state, who })
    }

    fn received(&self, bytes: usize) -> Result<(), Status> {
        let mut state = self.state.lock();
        state.received += bytes;
        if state.bytes.more(bytes + PIECE_BYTES) { Ok(()) } else { Err(spent()) }
    }

    /// The body is there: from now on the request is worked on.
    fn complete(&self) -> Result<(), Status> {
        let mut state = self.state.lock();
        let decoded = state.received * DECODED_TIMES;
        if !state.bytes.more(decoded) {
            return Err(spent());
        }
        if state.receiving.take().is_some() && state.place.is_none() {
            state.place = Some(self.working.take(&self.who, 1).ok_or_else(busy)?);
        }
        Ok(())
    }

    /// Takes what an answer takes that is there as a whole.
    ///
    /// # Errors
    /// TooManyRequests, when the budget has not so much; nothing is told so of what was done already.
    pub fn answer(&self, bytes: usize, is_read: bool) -> Result<(), Status> {
        let mut state = self.state.lock();
        if state.bytes.more(bytes) {
            return Ok(());
        }
        if is_read {
            return Err(spent());
        }
        state.bytes.more_anyway(bytes);
        Ok(())
    }

    /// The rest of the body, when the request was answered before that.
    pub fn rest(&self) -> Option<Body> {
        self.state.lock().rest.take()
    }
}

pub fn spent() -> Status {
    Status::too_many_requests(
        "the memory for requests in flight is spent, please try again later",
        super::limit::RETRY_AFTER_SECONDS,
    )
}

pub fn busy() -> Status {
    let message = "the server has received too many requests and has asked us to try again later";
    Status::too_many_requests(message, super::limit::RETRY_AFTER_SECONDS)
}

/// A body that is counted.
pub struct Received {
    body: Option<Body>,
    account: Arc<Account>,
    deadline: Pin<Box<Sleep>>,
    /// As long as the deadline was, for who misses it.
    timeout: Duration,
    ended: bool,
}

impl Received {
    pub fn new(body: Body, account: Arc<Account>, timeout: Duration) -> Received {
        let deadline = Box::pin(tokio::time::sleep(timeout));
        Received { body: Some(body), account, deadline, timeout, ended: false }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let refuse = |status| Poll::Ready(Some(Err(axum::Error::new(Refused::new(status)))));
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match self.account.received(bytes) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(status) => refuse(status),
                }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => {
                self.ended = true;
                match self.account.complete() {
                    Ok(()) => Poll::Ready(None),
                    Err(status) => refuse(status),
                }
            }
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Ready(()) => {
                    let message = format!("the body of the request did not arrive within {:?}", self.timeout);
                    let mut status = Status::new(Reason::Timeout, message);
                    // It is the client that was late; nothing was done.
                    status.code = 408;
                    refuse(status)
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.next(context)
    }

    fn is_end_stream(&self) -> bool {
        // The end itself is still to be counted.
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        // What a client says of a length is no reason to make room for it.
        SizeHint::default()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.ended {
            self.account.state.lock().rest = self.body.take();
        }
    }
}

/// Reads what a client still sends after its answer, within bounds, and throws it away: many clients read no answer before they
/// have sent all, and some take a stream that is reset before for a failed one.
pub async fn drain(mut body: Body) {
    let all = async {
        let mut bytes = 0;
        while bytes < DRAIN_BYTES_MAX {
            match body.frame().await {
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    // What comes later is cut off.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, all).await;
}
