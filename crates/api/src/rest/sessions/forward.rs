//! Forwarded ports over SPDY: for each connection a client opens two streams, `error` and `data`, with the same request number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_sessions::{Channel, Frame, Outcome};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::PING_INTERVAL;
use super::spdy::{Connection, Stream, StreamWriter};
use crate::node_tunnel::{Reader, Session};
use crate::pipeline::{Pipeline, PodSession, ReadVersion, User};

/// Connections of which one stream has come and the other has not.
const UNPAIRED_MAX: usize = 64;
/// What pairs the streams is a short number.
const REQUEST_BYTES_MAX: usize = 64;
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

/// Streams whose counterpart has not come yet, by the number of their request.
#[derive(Default)]
struct Unpaired {
    pairs: HashMap<String, Pair>,
}

/// What a stream came to.
enum Taken {
    Waits,
    /// The port is told on both streams; that of the data counts.
    Complete {
        port: u16,
        data: Stream,
        error: StreamWriter,
    },
    /// Not one of a forwarded port.
    Refused(StreamWriter),
    /// There are too many.
    Full,
}

impl Unpaired {
    /// Nothing is kept before the stream is known to be one of a forwarded port.
    fn take(&mut self, stream: Stream) -> Taken {
        let request = stream.headers.get("requestid").to_owned();
        let is_error = match stream.headers.get("streamtype") {
            "error" => true,
            "data" => false,
            _ => return Taken::Refused(stream.writer),
        };
        if request.len() > REQUEST_BYTES_MAX || port(&stream).is_none() {
            return Taken::Refused(stream.writer);
        }
        if self.pairs.len() >= UNPAIRED_MAX && !self.pairs.contains_key(&request) {
            return Taken::Full;
        }
        let pair = self.pairs.entry(request.clone()).or_default();
        match is_error {
            true if pair.error.is_none() => pair.error = Some(stream.writer),
            false if pair.data.is_none() => pair.data = Some(stream),
            _ => return Taken::Refused(stream.writer),
        }
        if pair.error.is_none() || pair.data.is_none() {
            return Taken::Waits;
        }
        let Some(Pair { error: Some(error), data: Some(data) }) = self.pairs.remove(&request) else {
            return Taken::Waits;
        };
        Taken::Complete { port: port(&data).unwrap_or_default(), data, error }
    }
}

fn port(stream: &Stream) -> Option<u16> {
    stream.headers.get("port").parse().ok().filter(|port| *port > 0)
}

impl Ports {
    /// Serves the client's connections until it goes away.
    pub(super) async fn serve(self, io: impl AsyncRead + AsyncWrite + Send + 'static) {
        let mut connection = Connection::new(io);
        let mut unpaired = Unpaired::default();
        let mut open = JoinSet::new();
        let mut moved = Instant::now();
        let mut pings = tokio::time::interval_at(moved + PING_INTERVAL, PING_INTERVAL);
        loop {
            let stream = tokio::select! {
                stream = connection.accept() => stream,
                Some(_) = open.join_next() => {
                    moved = Instant::now();
                    continue;
                }
                _ = pings.tick() => match connection.ping() {
                    Ok(()) => continue,
                    Err(_) => None,
                },
                () = tokio::time::sleep_until(moved + IDLE_MAX), if open.is_empty() => None,
                () = self.pipeline.shutdown().cancelled() => None,
            };
            let Some(stream) = stream else { break };
            moved = Instant::now();
            match unpaired.take(stream) {
                Taken::Waits => {}
                Taken::Complete { port, data, error } => {
                    let ports = self.clone();
                    open.spawn(async move { ports.connect(port, data, error).await });
                }
                Taken::Refused(writer) => writer.reset().await,
                Taken::Full => break,
            }
        }
    }

    /// What a client is told when a connection failed.
    pub(super) fn failure(&self, port: u16, why: &str) -> String {
        let pod = &self.pod;
        format!("an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod {pod}: {why}")
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
                error.finish(self.failure(port, &why).into()).await;
            }
        }
        writer.finish(Bytes::new()).await;
    }
}

/// Carries bytes both ways until the pod's side is closed, the client ends the stream, or the connection is over.
async fn pump(session: Session, mut data: Stream) -> Outcome {
    let Session { writer, reader } = session;
    let client = data.writer.clone();
    let reset = std::mem::replace(&mut data.reset, tokio::sync::oneshot::channel().1);
    // The end of the connection is not a reset: it ends all that is open.
    let was_reset = async move {
        if reset.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let incoming = async {
        while let Some(bytes) = data.read().await {
            if writer.data(Channel::Stdin, bytes).await.is_err() {
                return;
            }
        }
        let _ = writer.last(Channel::Stdin).await;
    };
    let outgoing = read_out(reader, client);
    let both = async {
        tokio::pin!(incoming, outgoing);
        tokio::select! {
            outcome = &mut outgoing => outcome,
            () = &mut incoming => outgoing.await,
        }
    };
    tokio::select! {
        outcome = both => outcome,
        () = was_reset => Outcome::Exited(0),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_stream_of_a_port_is_not_kept_and_the_rest_is_bounded() {
        let mut unpaired = Unpaired::default();
        for number in 0..1000 {
            let request = number.to_string();
            for junk in [[("streamtype", "junk"), ("port", "80")], [("streamtype", "data"), ("port", "0")]] {
                let stream = Stream::of(&[&junk[..], &[("requestid", &request)]].concat());
                assert!(matches!(unpaired.take(stream), Taken::Refused(_)));
            }
        }
        let open =
            |kind: &str, request: &str| Stream::of(&[("streamtype", kind), ("port", "80"), ("requestid", request)]);
        assert!(matches!(unpaired.take(open("data", &"1".repeat(REQUEST_BYTES_MAX + 1))), Taken::Refused(_)));
        assert!(unpaired.pairs.is_empty());
        for number in 0..UNPAIRED_MAX {
            assert!(matches!(unpaired.take(open("error", &number.to_string())), Taken::Waits));
        }
        assert!(matches!(unpaired.take(open("error", "0")), Taken::Refused(_)), "it has one");
        assert!(matches!(unpaired.take(open("error", "more")), Taken::Full));
        assert_eq!(unpaired.pairs.len(), UNPAIRED_MAX);
        assert!(matches!(unpaired.take(open("data", "0")), Taken::Complete { port: 80, .. }));
        assert_eq!(unpaired.pairs.len(), UNPAIRED_MAX - 1);
    }
}
