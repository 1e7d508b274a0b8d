//! Forwarded ports over SPDY: for each connection a client opens two streams, `error` and `data`, with the same request number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_sessions::{Channel, Frame, Outcome};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::spdy::{Connection, Stream, StreamWriter};
use crate::node_tunnel::{Reader, Session};
use crate::pipeline::{Pipeline, PodSession, ReadVersion, User};

/// Streams whose counterpart has not come yet.
const UNPAIRED_MAX: usize = 64;
/// Without any connection for so long, the client's is ended, as a kubelet does.
const IDLE_MAX: Duration = Duration::from_secs(4 * 3600);

/// The ports of one pod, for one client.
#[derive(Clone)]
pub(super) struct Ports {
    pub pipeline: Arc<Pipeline>,
    pub user: Arc<User>,
    pub namespace: String,
    pub pod: String,
}

/// The two streams of a connection.
#[derive(Default)]
struct Pair {
    error: Option<StreamWriter>,
    data: Option<Stream>,
}

impl Ports {
    /// Serves the client's connections until it goes away.
    pub(super) async fn serve(self, io: impl AsyncRead + AsyncWrite + Send + 'static) {
        let mut connection = Connection::new(io);
        let mut unpaired: HashMap<String, Pair> = HashMap::new();
        let mut open = JoinSet::new();
        loop {
            let stream = tokio::select! {
                stream = connection.accept() => stream,
                Some(_) = open.join_next() => continue,
                () = tokio::time::sleep(IDLE_MAX), if open.is_empty() => None,
                () = self.pipeline.shutdown().cancelled() => None,
            };
            let Some(stream) = stream else { break };
            let request = stream.headers.get("requestid").to_owned();
            let port = stream.headers.get("port").parse::<u16>().ok().filter(|port| *port > 0);
            let pair = unpaired.entry(request.clone()).or_default();
            match (stream.headers.get("streamtype"), port) {
                ("error", Some(_)) if pair.error.is_none() => pair.error = Some(stream.writer),
                ("data", Some(_)) if pair.data.is_none() => pair.data = Some(stream),
                _ => {
                    stream.writer.reset().await;
                    continue;
                }
            }
            if let Pair { error: Some(error), data: Some(data) } = pair {
                let error = error.clone();
                // The port is told on both; that of the data counts.
                let port = data.headers.get("port").parse::<u16>().unwrap_or_default();
                let Some(Pair { data: Some(data), .. }) = unpaired.remove(&request) else { continue };
                let ports = self.clone();
                open.spawn(async move { ports.connect(port, data, error).await });
            } else if unpaired.len() > UNPAIRED_MAX {
                break;
            }
        }
    }

    async fn connect(self, port: u16, data: Stream, error: StreamWriter) {
        let writer = data.writer.clone();
        let outcome =
            match self.pipeline.port_forward(&self.user, &self.namespace, &self.pod, port, ReadVersion::Any).await {
                Ok(PodSession { session, shutdown, place }) => {
                    let outcome = tokio::select! {
                        outcome = pump(session, data) => outcome,
                        () = shutdown.cancelled() => Outcome::Failed("this member is stopping".to_owned()),
                    };
                    drop(place);
                    outcome
                }
                Err(status) => Outcome::Failed(status.message),
            };
        match outcome {
            Outcome::Exited(_) => error.finish(Bytes::new()).await,
            Outcome::Failed(why) => {
                let why = format!(
                    "an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod {}: {why}",
                    self.pod
                );
                error.finish(why.into()).await;
            }
        }
        writer.finish(Bytes::new()).await;
    }
}

/// Carries bytes both ways until the pod's side is closed, or the connection is over.
async fn pump(session: Session, mut data: Stream) -> Outcome {
    let Session { writer, reader } = session;
    let client = data.writer.clone();
    let incoming = async {
        while let Some(bytes) = data.read().await {
            if writer.data(Channel::Stdin, bytes).await.is_err() {
                return;
            }
        }
        let _ = writer.last(Channel::Stdin).await;
    };
    let outgoing = read_out(reader, client);
    tokio::pin!(incoming, outgoing);
    tokio::select! {
        outcome = &mut outgoing => outcome,
        () = &mut incoming => outgoing.await,
    }
}

async fn read_out(mut reader: Reader, client: StreamWriter) -> Outcome {
    loop {
        match reader.next().await {
            Some(Ok(Frame::Data(_, bytes))) => {
                if client.write(bytes).await.is_err() {
                    return Outcome::Exited(0);
                }
            }
            Some(Ok(Frame::Last(_) | Frame::Resize { .. })) => {}
            Some(Ok(Frame::End(outcome))) => return outcome,
            Some(Err(status)) => return Outcome::Failed(status.message),
            None => return Outcome::Exited(0),
        }
    }
}
