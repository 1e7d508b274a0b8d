//! A connection: one task reads it, one writes it, and each stream has a queue.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
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
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// The connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Closed;

/// A stream that the client opened.
pub(in super::super) struct Stream {
    pub headers: Headers,
    pub writer: StreamWriter,
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

    /// Ends the stream at once, both ways.
    pub(in super::super) async fn reset(&self) {
        let _ = self.outgoing.send(vec![frame::reset(self.id)]).await;
    }
}

struct Reading {
    decoder: Decoder,
    encoder: Encoder,
    /// The stream opened last.
    newest: u32,
    /// Where the bytes of each stream go, until its last.
    open: HashMap<u32, mpsc::Sender<Bytes>>,
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
                self.open.retain(|_, queue| !queue.is_closed());
                if self.open.len() >= STREAMS_MAX {
                    return Err(Error::Streams);
                }
                let (queue, incoming) = mpsc::channel(QUEUE_MAX);
                if !last {
                    self.open.insert(stream, queue);
                }
                let reply = self.encoder.reply(stream);
                let writer = StreamWriter { id: stream, outgoing: self.outgoing.clone() };
                let replied = self.outgoing.send(vec![reply]).await.is_ok();
                Ok(replied && self.opened.send(Stream { headers, writer, incoming }).await.is_ok())
            }
            Frame::Data { stream, last, data } => {
                if let Some(queue) = self.open.get(&stream)
                    && (data.is_empty() || queue.send(data).await.is_ok())
                    && !last
                {
                    return Ok(true);
                }
                // What comes for a stream that is over is passed over.
                self.open.remove(&stream);
                Ok(true)
            }
            Frame::Reset { stream } => {
                self.open.remove(&stream);
                Ok(true)
            }
            // The client's own pings are odd; an even one answers ours, and there are none.
            Frame::Ping { id } if id % 2 == 1 => Ok(self.outgoing.send(vec![frame::ping(id)]).await.is_ok()),
            Frame::GoAway => Ok(false),
            Frame::Ping { .. } | Frame::Other => Ok(true),
        }
    }
}
