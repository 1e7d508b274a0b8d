//! The simulated HTTP server behind a container's ports: it says who answers, and gives back what is sent to it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use keelson_sessions::{Channel, Frame, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::machine::Machine;
use crate::runtime::Io;

const BUFFER_BYTES: usize = 32 << 10;

/// Serves one connection to its end.
pub async fn serve(machine: Arc<Machine>, port: u16, io: Io) -> Outcome {
    let Io { mut input, output, .. } = io;
    let (inner, outer) = tokio::io::duplex(BUFFER_BYTES);
    let (mut from_server, mut to_server) = tokio::io::split(outer);
    let over = machine.over.clone();
    let service = service_fn(move |request| {
        let machine = machine.clone();
        async move { Ok::<_, Infallible>(answer(&machine, port, request)) }
    });
    let server = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(inner), service);
    let incoming = async {
        loop {
            match input.next().await {
                Some(Frame::Data(_, data)) => {
                    if to_server.write_all(&data).await.is_err() {
                        break;
                    }
                }
                Some(Frame::Resize { .. }) => {}
                Some(Frame::Last(_) | Frame::End(_)) | None => break,
            }
        }
        let _ = to_server.shutdown().await;
        // The other direction decides when all is over.
        std::future::pending::<()>().await;
    };
    let outgoing = async {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        while let Ok(1..) = from_server.read_buf(&mut buffer).await {
            if output.data(Channel::Stdout, buffer.split().freeze()).await.is_err() {
                break;
            }
            buffer.reserve(BUFFER_BYTES);
        }
    };
    let served = async {
        let (_, ()) = tokio::join!(server, outgoing);
    };
    tokio::select! {
        () = served => Outcome::Exited(0),
        () = incoming => Outcome::Exited(0),
        () = over.cancelled() => Outcome::Failed("lost connection to pod".to_owned()),
    }
}

type Body = Either<Full<Bytes>, Incoming>;

fn answer(machine: &Machine, port: u16, request: Request<Incoming>) -> Response<Body> {
    if matches!(*request.method(), Method::POST | Method::PUT) {
        return Response::new(Either::Right(request.into_body()));
    }
    let text = format!(
        "simulated container {} of pod {}, image {}, port {port}\n{} {}\n",
        machine.container,
        machine.hostname,
        machine.image,
        request.method(),
        request.uri().path(),
    );
    Response::new(Either::Left(Full::new(text.into())))
}
