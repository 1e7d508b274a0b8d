//! How many requests are worked on at once, and for how long.
//!
//! A request holds its place until its answer is sent to the end: a long list is work too. One beyond the limit is refused
//! at once, with a time to try again, rather than queued: a queue would only make everybody late.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use keelson_types::status::Status;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How far a client may be asked to wait.
const RETRY_AFTER_SECONDS: u32 = 1;

#[derive(Clone)]
pub struct Limits {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    timeout: Duration,
}

impl Limits {
    pub fn new(requests_max: usize, streams_max: usize, timeout: Duration) -> Limits {
        Limits {
            requests: Arc::new(Semaphore::new(requests_max)),
            streams: Arc::new(Semaphore::new(streams_max)),
            timeout,
        }
    }

    /// Does the work if there is a place for it.
    ///
    /// # Errors
    /// TooManyRequests, or Timeout when the answer did not begin in time.
    pub async fn run(
        &self,
        stream: bool,
        work: impl Future<Output = Response<Body>>,
    ) -> Result<Response<Body>, Status> {
        let places = if stream { &self.streams } else { &self.requests };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let message = "the server has received too many requests and has asked us to try again later";
            return Err(Status::too_many_requests(message, RETRY_AFTER_SECONDS));
        };
        if stream {
            let response = work.await;
            return Ok(response.map(|body| Body::new(Placed { body, _place: place, deadline: None })));
        }
        let mut deadline = Box::pin(tokio::time::sleep(self.timeout));
        let response = tokio::select! {
            response = work => response,
            () = deadline.as_mut() => {
                return Err(Status::timeout("request did not complete within the allotted timeout"));
            }
        };
        Ok(response.map(|body| Body::new(Placed { body, _place: place, deadline: Some(deadline) })))
    }
}

/// Watches, and whatever else lasts, by method name.
pub fn is_grpc_stream<B>(request: &Request<B>) -> bool {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    matches!(method, "Watch" | "Logs" | "Exec" | "Attach" | "PortForward" | "Tunnel" | "ServerReflectionInfo")
}

/// Watches, logs and sessions with pods, by path and query.
pub fn is_rest_stream<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let is_on = |name: &str| {
        query.split('&').any(|pair| match pair.split_once('=') {
            Some((key, value)) => key == name && !matches!(value, "0" | "false"),
            None => pair == name,
        })
    };
    let path = uri.path();
    let lasts = ["/log", "/exec", "/attach", "/portforward"].iter().any(|end| path.ends_with(end));
    is_on("watch") || lasts || uri.path().contains("/watch/")
}

/// A body that holds its place, and is cut off when its time is over.
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the answer took too long to send");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::builder().uri(uri).body(()).expect("is a request")
    }

    #[test]
    fn what_lasts_is_told_from_what_does_not() {
        for (uri, stream) in [
            ("/api/v1/pods", false),
            ("/api/v1/pods?watch=true", true),
            ("/api/v1/pods?watch=1&labelSelector=a", true),
            ("/api/v1/pods?watch=false", false),
            ("/api/v1/pods?labelSelector=watch", false),
            ("/api/v1/namespaces/n/pods/p/log?follow=true", true),
            ("/api/v1/namespaces/n/pods/p/exec?command=sh", true),
        ] {
            assert_eq!(is_rest_stream(&request(uri)), stream, "{uri}");
        }
        assert!(is_grpc_stream(&request("/keelson.api.v1.Objects/Watch")));
        assert!(!is_grpc_stream(&request("/keelson.api.v1.Objects/List")));
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_answer_is_sent() {
        let limits = Limits::new(1, 1, Duration::from_secs(60));
        let first = limits.run(false, async { Response::new(Body::from("x")) }).await.expect("has a place");
        let refused = limits.run(false, async { Response::new(Body::empty()) }).await;
        assert_eq!(refused.expect_err("has none").code, 429);
        limits.run(true, async { Response::new(Body::empty()) }).await.expect("streams have their own");
        drop(first);
        limits.run(false, async { Response::new(Body::empty()) }).await.expect("has a place again");
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_ended() {
        let limits = Limits::new(1, 1, Duration::from_millis(10));
        let refused = limits.run(false, std::future::pending()).await;
        assert_eq!(refused.expect_err("takes too long").code, 504);
    }
}
