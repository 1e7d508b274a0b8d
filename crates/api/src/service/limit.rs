//! How many requests are received, worked on and answered at once, in how much memory, and for how long.
//!
//! A request is first *received*: its body is counted as it arrives, and has a time to. Then it takes a place among those that are
//! *worked on*, and holds it until its answer is sent to the end: a long list is work too. One beyond a limit is refused at
//! once, with a time to try again, rather than queued: a queue would only make everybody late. Whoever asks whether the member
//! lives is never refused.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Limited;
use keelson_types::status::Status;
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

use super::pool::{Pool, Taken, Who};
use super::received::{self, Account, Received, busy};
use crate::metrics::About;
use crate::options::Options;

/// How far a client may be asked to wait.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// Requests whose bodies are still to come, for each one that is worked on: they cost little but their bytes.
const RECEIVING_TIMES: usize = 4;
/// What a probe may bring with it.
const PROBE_BYTES_MAX: usize = 4 << 10;

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Whether the member lives: never refused.
    Probe,
    /// One answer to one request.
    Plain,
    /// A watch or a log: an answer that goes on.
    Stream,
    /// Both ways go on, within windows of their own.
    Session,
}

#[derive(Clone)]
pub struct Limits {
    working: Pool,
    receiving: Pool,
    streams: Pool,
    bytes: Pool,
    request_timeout: Duration,
    body_timeout: Duration,
    /// What is left of bodies is read by these.
    tasks: TaskTracker,
}

impl Limits {
    pub fn new(options: &Options, tasks: TaskTracker) -> Limits {
        Limits {
            working: Pool::new(options.requests_max),
            receiving: Pool::new(options.requests_max.saturating_mul(RECEIVING_TIMES)),
            streams: Pool::new(options.streams_max),
            bytes: Pool::new(options.in_flight_bytes_max),
            request_timeout: options.request_timeout,
            body_timeout: options.body_timeout,
            tasks,
        }
    }

    /// Does the work if there is a place for it.
    ///
    /// # Errors
    /// TooManyRequests, or Timeout when the answer did not begin in time.
    pub async fn run<F>(
        &self,
        who: &Who,
        class: Class,
        request: Request<Body>,
        serve: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Response<Body>, Status>
    where
        F: Future<Output = Response<Body>>,
    {
        let bytes = self.bytes.take(who, 0).ok_or_else(received::spent)?;
        match class {
            Class::Probe => {
                let work = serve(request.map(|body| Body::new(Limited::new(body, PROBE_BYTES_MAX))));
                tokio::time::timeout(self.request_timeout, work).await.map_err(|_| late())
            }
            Class::Session => {
                let place = self.streams.take(who, 1).ok_or_else(busy)?;
                Ok(serve(request)
                    .await
                    .map(|body| Body::new(Placed { body, _place: Some(place), _account: None, deadline: None })))
            }
            Class::Stream => {
                let place = self.streams.take(who, 1).ok_or_else(busy)?;
                let account = Account::new(who.clone(), self.working.clone(), bytes, None, Some(place));
                let request = self.counted(request, &account);
                let response = serve(request).await;
                self.drain(&account);
                Ok(response
                    .map(|body| Body::new(Placed { body, _place: None, _account: Some(account), deadline: None })))
            }
            Class::Plain => self.plain(who, bytes, request, serve).await,
        }
    }

    async fn plain<F>(
        &self,
        who: &Who,
        bytes: Taken,
        request: Request<Body>,
        serve: impl FnOnce(Request<Body>) -> F,
    ) -> Result<Response<Body>, Status>
    where
        F: Future<Output = Response<Body>>,
    {
        let mut deadline = Box::pin(tokio::time::sleep(self.request_timeout));
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        // Nobody reads the body of a GET.
        let (receiving, place) = if is_read || request.body().is_end_stream() {
            (None, Some(self.working.take(who, 1).ok_or_else(busy)?))
        } else {
            (Some(self.receiving.take(who, 1).ok_or_else(busy)?), None)
        };
        let account = Account::new(who.clone(), self.working.clone(), bytes, receiving, place);
        let request = self.counted(request, &account);
        let response = tokio::select! {
            response = serve(request) => Ok(response),
            () = deadline.as_mut() => Err(late()),
        };
        self.drain(&account);
        let response = response?;
        if let Some(bytes) = response.body().size_hint().exact() {
            account.answer(usize::try_from(bytes).unwrap_or(usize::MAX), is_read)?;
        }
        let placed = |body| Placed { body, _place: None, _account: Some(account), deadline: Some(deadline) };
        Ok(response.map(|body| Body::new(placed(body))))
    }

    fn counted(&self, request: Request<Body>, account: &Arc<Account>) -> Request<Body> {
        if request.body().is_end_stream() {
            return request;
        }
        request.map(|body| Body::new(Received::new(body, account.clone(), self.body_timeout)))
    }

    /// Reads on what the answered request still sends.
    fn drain(&self, account: &Account) {
        if let Some(rest) = account.rest() {
            self.tasks.spawn(received::drain(rest));
        }
    }
}

fn late() -> Status {
    Status::timeout("request did not complete within the allotted timeout")
}

/// What a call is, by its path.
pub fn grpc_class<B>(request: &Request<B>) -> Class {
    match request.uri().path().rsplit_once('/') {
        Some(("/grpc.health.v1.Health", "Check")) => Class::Probe,
        Some((_, "Exec" | "Attach" | "PortForward" | "Tunnel" | "ServerReflectionInfo")) => Class::Session,
        Some((_, "Watch" | "Logs")) => Class::Stream,
        _ => Class::Plain,
    }
}

/// What a request is, by path and query.
pub fn rest_class<B>(request: &Request<B>) -> Class {
    let uri = request.uri();
    let path = uri.path();
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if matches!(first, "livez" | "readyz" | "healthz") {
        return Class::Probe;
    }
    if ["/exec", "/attach", "/portforward"].iter().any(|end| path.ends_with(end)) {
        return Class::Session;
    }
    // Only reading lasts; whoever writes waits for one answer, whatever the path looks like.
    let reads = *request.method() == Method::GET;
    if reads && (is_watch(uri.query().unwrap_or_default()) || path.ends_with("/log")) {
        Class::Stream
    } else {
        Class::Plain
    }
}

/// Whether a query asks for a watch.
pub fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| match pair.split_once('=') {
        Some((key, value)) => key == "watch" && !matches!(value, "0" | "false"),
        None => pair == "watch",
    })
}

/// What is counted of a call: which one it is. Its object is in its message.
pub fn grpc_about<B>(request: &Request<B>) -> About {
    let verb = match request.uri().path().rsplit('/').next().unwrap_or_default() {
        "Get" => "GET",
        "List" => "LIST",
        "Watch" => "WATCH",
        "Create" => "POST",
        "Write" | "Update" => "PUT",
        "Apply" | "ServerSideApply" => "APPLY",
        "Patch" => "PATCH",
        "Delete" => "DELETE",
        "DeleteCollection" => "DELETECOLLECTION",
        "Logs" | "Exec" | "Attach" | "PortForward" | "Tunnel" | "ServerReflectionInfo" => "CONNECT",
        _ => "other",
    };
    About { verb, component: "grpc", ..About::default() }
}

/// A body that holds its place, and is cut off when its time is over.
struct Placed {
    body: Body,
    _place: Option<Taken>,
    _account: Option<Arc<Account>>,
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

    fn request(uri: &str) -> Request<Body> {
        Request::builder().uri(uri).body(Body::empty()).expect("is a request")
    }

    fn limits(change: impl FnOnce(&mut Options)) -> Limits {
        let none = std::path::PathBuf::new();
        let files = crate::tls::Files { ca: none.clone(), certificate: none.clone(), key: none };
        let mut options = Options::new(([127, 0, 0, 1], 0).into(), files);
        change(&mut options);
        Limits::new(&options, TaskTracker::new())
    }

    async fn run(limits: &Limits, class: Class) -> Result<Response<Body>, Status> {
        limits.run(&Who::default(), class, request("/"), |_| async { Response::new(Body::from("x")) }).await
    }

    #[test]
    fn what_lasts_is_told_from_what_does_not() {
        for (uri, class) in [
            ("/api/v1/pods", Class::Plain),
            ("/api/v1/pods?watch=true", Class::Stream),
            ("/api/v1/pods?watch=1&labelSelector=a", Class::Stream),
            ("/api/v1/pods?watch=false", Class::Plain),
            ("/api/v1/pods?labelSelector=watch", Class::Plain),
            ("/api/v1/namespaces/n/pods/p/log?follow=true", Class::Stream),
            ("/api/v1/namespaces/n/pods/p/exec?command=sh", Class::Session),
            ("/livez", Class::Probe),
            ("/readyz/ping?verbose", Class::Probe),
            ("/api/v1/namespaces/livez", Class::Plain),
        ] {
            assert_eq!(rest_class(&request(uri)), class, "{uri}");
        }
        for (path, class) in [
            ("/keelson.api.v1.Objects/Watch", Class::Stream),
            ("/keelson.api.v1.Objects/List", Class::Plain),
            ("/keelson.node.v1.Nodes/Tunnel", Class::Session),
            ("/grpc.health.v1.Health/Check", Class::Probe),
        ] {
            assert_eq!(grpc_class(&request(path)), class, "{path}");
        }
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_answer_is_sent() {
        let limits = limits(|options| (options.requests_max, options.streams_max) = (1, 1));
        let first = run(&limits, Class::Plain).await.expect("has a place");
        assert_eq!(run(&limits, Class::Plain).await.expect_err("has none").code, 429);
        run(&limits, Class::Stream).await.expect("streams have their own");
        run(&limits, Class::Probe).await.expect("probes need none");
        drop(first);
        run(&limits, Class::Plain).await.expect("has a place again");
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_ended() {
        let limits = limits(|options| options.request_timeout = Duration::from_millis(10));
        let never = |_| std::future::pending();
        let refused = limits.run(&Who::default(), Class::Plain, request("/"), never).await;
        assert_eq!(refused.expect_err("takes too long").code, 504);
    }

    #[tokio::test]
    async fn an_answer_that_is_there_as_a_whole_is_counted() {
        let limits = limits(|options| options.in_flight_bytes_max = 1 << 20);
        let large = |_| async { Response::new(Body::from(vec![b' '; 300 << 10])) };
        let first = limits.run(&Who::default(), Class::Plain, request("/"), large).await.expect("fits");
        let second = limits.run(&Who::default(), Class::Plain, request("/"), large).await;
        assert_eq!(second.expect_err("is too much for one user").code, 429);
        drop(first);
        assert_eq!(limits.bytes.used(), 0);
    }
}
