//! A connection: one task reads it, one writes it, and each stream has a queue.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Error;
use super::frame::{self, Decoder, Encoder, Frame};
use super::headers::Headers;

/// Streams open at once: two for each connection to a forwarded port.
const STREAMS_MAX: usize = 512;
/// Pieces of data that a stream's reader has not taken.
const QUEUE_MAX: usize = 16;
/// Pieces that wait to be written, for all streams together.
const OUTGOING_MAX: usize = 16;
/// The number of a ping, which is even for a server's. Nothing waits for an answer, so one will do.
const PING: u32 = 2;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// The connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Closed;

/// A stream that the client opened.
pub(in super::super) struct Stream {
    pub headers: Headers,
    pub writer: StreamWriter,
    /// Comes when the client ends the stream at once, both ways.
    pub reset: oneshot::Receiver<()>,
    incoming: mpsc::Receiver<Bytes>,
}

/// The half of a stream that sends.
#[derive(Clone)]
pub(in super::super) struct StreamWriter {
    id: u32,
    outgoing: mpsc::Sender<Vec<Bytes>>,
}

/// The server's side of a connection. Dropping it ends the connection.
pub(in super::super) struct Connection {
    streams: mpsc::Receiver<Stream>,
    outgoing: mpsc::Sender<Vec<Bytes>>,
    tasks: JoinSet<()>,
}

impl Connection {
    pub(in super::super) fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Connection {
        let (reader, mut writer) = tokio::io::split(io);
        let (outgoing, mut queue) = mpsc::channel::<Vec<Bytes>>(OUTGOING_MAX);
        // A stream that nobody accepts yet holds the reading up, which bounds them.
        let (opened, streams) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(pieces) = queue.recv().await {
                for piece in pieces {
                    if writer.write_all(&piece).await.is_err() {
                        return;
                    }
                }
                if queue.is_empty() && writer.flush().await.is_err() {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        });
        let reading = Reading {
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            newest: 0,
            open: HashMap::new(),
            opened,
            outgoing: outgoing.clone(),
        };
        tasks.spawn(async move {
            if let Err(error) = reading.run(reader).await {
                tracing::debug!(%error, "a SPDY connection ended");
            }
        });
        Connection { streams, outgoing, tasks }
    }

    /// The next stream that the client opens; None when the connection is over. Cancel-safe.
    pub(in super::super) async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }

    /// Asks the client for a sign of life. None that comes is missed: what counts is that a connection whose other end is dead breaks.
    ///
    /// # Errors
    /// When the connection is over.
    pub(in super::super) fn ping(&self) -> Result<(), Closed> {
        ping(&self.outgoing)
    }

    /// Says goodbye after all that was written before, and reads until the client is gone, so that nothing of it is lost.
    pub(in super::super) async fn finish(mut self) {
        let _ = self.outgoing.send(vec![frame::go_away(0)]).await;
        while self.streams.recv().await.is_some() {}
        drop(self.outgoing);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Stream {
    /// The client's next bytes; None when it sends no more. Cancel-safe.
    pub(in super::super) async fn read(&mut self) -> Option<Bytes> {
        self.incoming.recv().await
    }
}

impl StreamWriter {
    /// Waits while the client does not read.
    ///
    /// # Errors
    /// When the connection is over.
    pub(in super::super) async fn write(&self, data: Bytes) -> Result<(), Closed> {
        self.outgoing.send(frame::data(self.id, false, data)).await.map_err(|_| Closed)
    }

    /// Writes the last bytes, which may be none.
    pub(in super::super) async fn finish(&self, data: Bytes) {
        let _ = self.outgoing.send(frame::data(self.id, true, data)).await;
    }

    /// As [`Connection::ping`].
    ///
    /// # Errors
    /// When the connection is over.
    pub(in super::super) fn ping(&self) -> Result<(), Closed> {
        ping(&self.outgoing)
    }

    /// Ends the stream at once, both ways.
    pub(in super::super) async fn reset(&self) {
        let _ = self.outgoing.send(vec![frame::reset(self.id)]).await;
    }
}

fn ping(outgoing: &mpsc::Sender<Vec<Bytes>>) -> Result<(), Closed> {
    match outgoing.try_send(vec![frame::ping(PING)]) {
        // What waits to be written serves as well.
        Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
    }
}

/// A stream that is open, at least one way.
struct Open {
    /// Where the client's bytes go, until its last.
    queue: Option<mpsc::Sender<Bytes>>,
    reset: oneshot::Sender<()>,
}

struct Reading {
    decoder: Decoder,
    encoder: Encoder,
    /// The stream opened last.
    newest: u32,
    open: HashMap<u32, Open>,
    opened: mpsc::Sender<Stream>,
    outgoing: mpsc::Sender<Vec<Bytes>>,
}

impl Reading {
    async fn run(mut self, mut reader: impl AsyncRead + Unpin) -> Result<(), Error> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        loop {
            while let Some(frame) = self.decoder.decode(&mut buffer)? {
                if !self.take(frame).await? {
                    return Ok(());
                }
            }
            buffer.reserve(READ_BYTES);
            if reader.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Whether to go on.
    async fn take(&mut self, frame: Frame) -> Result<bool, Error> {
        match frame {
            Frame::Open { stream, last, headers } => {
                // Those of a client are odd, and each is newer than all before.
                if stream % 2 == 0 || stream <= self.newest {
                    return Err(Error::StreamId(stream));
                }
                self.newest = stream;
                self.open.retain(|_, open| !open.reset.is_closed());
                if self.open.len() >= STREAMS_MAX {
                    return Err(Error::Streams);
                }
                let (queue, incoming) = mpsc::channel(QUEUE_MAX);
                let (reset, was_reset) = oneshot::channel();
                self.open.insert(stream, Open { queue: Some(queue).filter(|_| !last), reset });
                let reply = self.encoder.reply(stream);
                let writer = StreamWriter { id: stream, outgoing: self.outgoing.clone() };
                let replied = self.outgoing.send(vec![reply]).await.is_ok();
                Ok(replied && self.opened.send(Stream { headers, writer, reset: was_reset, incoming }).await.is_ok())
            }
            Frame::Data { stream, last, data } => {
                // What comes for a stream that is over is passed over.
                let Some(open) = self.open.get_mut(&stream) else { return Ok(true) };
                let taken = match &open.queue {
                    Some(queue) => data.is_empty() || queue.send(data).await.is_ok(),
                    None => false,
                };
                if last || !taken {
                    open.queue = None;
                }
                Ok(true)
            }
            Frame::Reset { stream } => {
                if let Some(open) = self.open.remove(&stream) {
                    let _ = open.reset.send(());
                }
                Ok(true)
            }
            // The client's own pings are odd; an even one answers ours.
            Frame::Ping { id } if id % 2 == 1 => Ok(self.outgoing.send(vec![frame::ping(id)]).await.is_ok()),
            Frame::GoAway => Ok(false),
            Frame::Ping { .. } | Frame::Other => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    impl Stream {
        /// A stream as a client opens it, on a connection of its own that is over.
        pub(in super::super::super) fn of(pairs: &[(&str, &str)]) -> Stream {
            let headers = Headers(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
            let writer = StreamWriter { id: 1, outgoing: mpsc::channel(1).0 };
            Stream { headers, writer, reset: oneshot::channel().1, incoming: mpsc::channel(1).1 }
        }
    }

    fn reading() -> (Reading, mpsc::Receiver<Stream>, mpsc::Receiver<Vec<Bytes>>) {
        let ((opened, streams), (outgoing, written)) = (mpsc::channel(1), mpsc::channel(8));
        let (decoder, encoder) = (Decoder::new(), Encoder::new());
        (Reading { decoder, encoder, newest: 0, open: HashMap::new(), opened, outgoing }, streams, written)
    }

    #[tokio::test]
    async fn a_reset_is_told_also_after_the_last_byte() {
        for last in [false, true] {
            let (mut reading, mut streams, _written) = reading();
            let open = Frame::Open { stream: 1, last: false, headers: Headers::default() };
            assert!(reading.take(open).await.expect("goes on"));
            let mut stream = streams.recv().await.expect("is open");
            let data = Frame::Data { stream: 1, last, data: Bytes::from_static(b"x") };
            assert!(reading.take(data).await.expect("goes on"));
            assert_eq!(stream.read().await, Some(Bytes::from_static(b"x")));
            assert!(stream.reset.try_recv().is_err(), "the end of one way is not that of both");
            assert!(reading.take(Frame::Reset { stream: 1 }).await.expect("goes on"));
            assert_eq!(tokio::time::timeout(Duration::from_secs(120), &mut stream.reset).await, Ok(Ok(())));
            assert_eq!(stream.read().await, None);
        }
    }

    #[tokio::test]
    async fn a_ping_fails_once_the_client_cannot_be_written_to() {
        let (client, server) = tokio::io::duplex(64);
        let connection = Connection::new(server);
        connection.ping().expect("is there");
        drop(client);
        let broken = async {
            while connection.ping().is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), broken).await.expect("is noticed");
    }
}
