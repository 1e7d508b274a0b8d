//! Exec, Attach and PortForward of `keelson.api.v1.Pods`: a session between a stream of requests and a stream of responses.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, stream};
use keelson_proto::keelson::api::v1 as proto;
use keelson_sessions::{Channel, Frame, Outcome};
use keelson_types::status::{Reason, Status};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Streaming};

use crate::node_tunnel::{Reader, Writer};
use crate::pipeline::{ExecRequest, PodSession};
use crate::status_code::{grpc, grpc_with};

pub type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

/// What a client says after its start.
pub enum Said {
    Stdin(Bytes),
    StdinLast,
    Resize { columns: u32, rows: u32 },
}

/// The first message of a stream.
///
/// # Errors
/// InvalidArgument when it is no start.
pub async fn start<Q, S>(requests: &mut Streaming<Q>, of: impl FnOnce(Q) -> Option<S>) -> Result<S, tonic::Status> {
    let first = requests.message().await?;
    first.and_then(of).ok_or_else(|| grpc(&Status::bad_request("the first message must be `start`")))
}

pub fn exec_request(start: proto::SessionStart, command: Vec<String>) -> ExecRequest {
    let proto::SessionStart { namespace, pod, container, stdin, stdout, stderr, tty } = start;
    ExecRequest { namespace, pod, container, command, stdin, stdout, stderr, tty }
}

/// A container that does not run is a state here, not a fault of the server.
pub fn told(status: &Status) -> tonic::Status {
    let waits = status.reason == Reason::InternalError
        && (status.message.contains("container not found") || status.message.contains("pod is not running"));
    if waits { grpc_with(Code::FailedPrecondition, status) } else { grpc(status) }
}

/// Runs the session. `said` reads a request, None for one that means nothing; `frame` makes a response of a frame, an error ending the
/// stream with it.
pub fn run<Q: Send + 'static, R: Send + 'static>(
    session: PodSession,
    mut requests: Streaming<Q>,
    said: fn(Q) -> Option<Said>,
    response: fn(Told) -> Option<Result<R, tonic::Status>>,
) -> Responses<R> {
    let PodSession { session, shutdown, place } = session;
    let over = CancellationToken::new();
    let (writer, listening) = (session.writer, over.clone());
    tokio::spawn(async move {
        let listen = listen(&mut requests, &writer, said);
        // Ends with the responses, which go when the client does.
        let _ = listening.run_until_cancelled(listen).await;
        listening.cancelled().await;
        drop((writer, place));
    });
    let state = Telling { reader: session.reader, shutdown, over: over.drop_guard(), ended: false };
    Box::pin(stream::unfold(state, move |mut state| async move {
        loop {
            let told = state.next().await?;
            if let Some(response) = response(told) {
                return Some((response, state));
            }
        }
    }))
}

/// What a container's side tells.
pub enum Told {
    Stdout(Bytes),
    Stderr(Bytes),
    End(Outcome),
    Broken(Status),
}

struct Telling {
    reader: Reader,
    shutdown: CancellationToken,
    #[expect(dead_code, reason = "dropped with the responses, which ends the other direction")]
    over: DropGuard,
    ended: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Told> {
        while !self.ended {
            let frame = tokio::select! {
                frame = self.reader.next() => frame?,
                () = self.shutdown.cancelled() => Err(Status::unavailable("this member is stopping; connect again")),
            };
            match frame {
                Ok(Frame::Data(Channel::Stderr, data)) => return Some(Told::Stderr(data)),
                Ok(Frame::Data(_, data)) => return Some(Told::Stdout(data)),
                Ok(Frame::Last(_) | Frame::Resize { .. }) => {}
                Ok(Frame::End(outcome)) => {
                    self.ended = true;
                    return Some(Told::End(outcome));
                }
                Err(status) => {
                    self.ended = true;
                    return Some(Told::Broken(status));
                }
            }
        }
        None
    }
}

async fn listen<Q>(requests: &mut Streaming<Q>, writer: &Writer, said: fn(Q) -> Option<Said>) {
    while let Ok(Some(request)) = requests.message().await {
        let taken = match said(request) {
            Some(Said::Stdin(data)) => writer.data(Channel::Stdin, data).await,
            Some(Said::StdinLast) => writer.last(Channel::Stdin).await,
            Some(Said::Resize { columns, rows }) => writer.resize(columns, rows).await,
            None => Ok(()),
        };
        if taken.is_err() {
            return;
        }
    }
    let _ = writer.last(Channel::Stdin).await;
}

pub fn result(outcome: Outcome) -> proto::SessionResult {
    match outcome {
        Outcome::Exited(exit_code) => proto::SessionResult { exit_code, error: String::new() },
        Outcome::Failed(error) => proto::SessionResult { exit_code: 0, error },
    }
}
