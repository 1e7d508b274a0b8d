//! Clients over WebSockets: channels by a byte before each message, and a plain stream of bytes for what is spoken inside.

use std::future::{Ready, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use keelson_sessions::Channel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::client::{Client, FAREWELL_MAX, Gone, Said, Sink, Source};

pub(super) type Io = TokioIo<Upgraded>;
pub(super) type Socket = WebSocketStream<Io>;

/// A message of a client. Those in use send 32 KiB at most.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 32 << 10;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Version 5: the byte after it names the channel that is closed.
const CLOSE: u8 = 255;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX)
}

/// The server's side of a WebSocket.
pub(super) async fn open(io: Io) -> Socket {
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await
}

/// A client of `v4.channel.k8s.io` or `v5.channel.k8s.io`.
pub(super) struct Channels {
    socket: Socket,
    closes: bool,
}

pub(super) struct ChannelSource {
    socket: SplitStream<Socket>,
    closes: bool,
}

pub(super) struct ChannelSink {
    socket: SplitSink<Socket, Message>,
}

impl Channels {
    pub(super) async fn new(io: Io, closes: bool) -> Channels {
        Channels { socket: open(io).await, closes }
    }
}

impl Client for Channels {
    type Source = ChannelSource;
    type Sink = ChannelSink;
    type Rest = Ready<()>;

    fn split(self) -> (ChannelSource, ChannelSink, Ready<()>) {
        let (sink, stream) = self.socket.split();
        (ChannelSource { socket: stream, closes: self.closes }, ChannelSink { socket: sink }, ready(()))
    }
}

impl Source for ChannelSource {
    async fn next(&mut self) -> Option<Said> {
        loop {
            let message = match self.socket.next().await?.ok()? {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => Bytes::from(text),
                Message::Close(_) => return None,
                // Pings are answered by the socket itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if let Some(said) = said(message, self.closes) {
                return Some(said);
            }
        }
    }
}

/// What a message means; None for what means nothing.
fn said(mut message: Bytes, closes: bool) -> Option<Said> {
    if message.is_empty() {
        return None;
    }
    let channel = message.split_to(1)[0];
    match channel {
        STDIN if !message.is_empty() => Some(Said::Stdin(message)),
        RESIZE => resize(&message),
        CLOSE if closes && message.as_ref() == [STDIN] => Some(Said::StdinLast),
        _ => None,
    }
}

/// `{"Width": 80, "Height": 24}`
pub(super) fn resize(text: &[u8]) -> Option<Said> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Size {
        width: u16,
        height: u16,
    }
    let Size { width, height } = serde_json::from_slice(text).ok()?;
    Some(Said::Resize { columns: width.into(), rows: height.into() })
}

impl ChannelSink {
    async fn send(&mut self, channel: u8, data: &[u8]) -> Result<(), Gone> {
        let mut message = BytesMut::with_capacity(1 + data.len());
        message.put_u8(channel);
        message.extend_from_slice(data);
        self.socket.send(Message::Binary(message.freeze())).await.map_err(|_| Gone)
    }
}

impl Sink for ChannelSink {
    async fn write(&mut self, channel: Channel, data: Bytes) -> Result<(), Gone> {
        let channel = if channel == Channel::Stderr { STDERR } else { STDOUT };
        self.send(channel, &data).await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.socket.send(Message::Ping(Bytes::new())).await.map_err(|_| Gone)
    }

    async fn finish(&mut self, status: Bytes) -> Result<(), Gone> {
        self.send(ERROR, &status).await?;
        self.socket.send(farewell()).await.map_err(|_| Gone)
    }
}

/// Clients take a close without a code for a fault.
pub(super) fn farewell() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

/// The bytes that travel in a WebSocket's binary messages, as a plain connection.
pub(super) async fn tunnel(io: Io) -> DuplexStream {
    let (mut sink, mut stream) = open(io).await.split();
    let (ours, inner) = tokio::io::duplex(BUFFER_BYTES);
    let (mut reader, mut writer) = tokio::io::split(inner);
    tokio::spawn(async move {
        let incoming = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Binary(bytes) if writer.write_all(&bytes).await.is_err() => break,
                    Message::Close(_) => break,
                    _ => {}
                }
            }
            let _ = writer.shutdown().await;
        };
        let outgoing = async {
            let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
            while let Ok(1..) = reader.read_buf(&mut buffer).await {
                if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                    break;
                }
                buffer.reserve(BUFFER_BYTES);
            }
            let _ = sink.send(farewell()).await;
        };
        tokio::pin!(incoming);
        tokio::select! {
            () = &mut incoming => {}
            () = outgoing => {
                let _ = tokio::time::timeout(FAREWELL_MAX, incoming).await;
            }
        }
    });
    ours
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;

    use super::*;

    #[test]
    fn the_first_byte_says_what_a_message_is() {
        let read = |bytes: &'static [u8]| said(Bytes::from_static(bytes), true);
        assert_eq!(read(b"\0ls"), Some(Said::Stdin(Bytes::from_static(b"ls"))));
        assert_eq!(read(b"\x04{\"Width\":80,\"Height\":24}"), Some(Said::Resize { columns: 80, rows: 24 }));
        assert_eq!(read(b"\xff\x00"), Some(Said::StdinLast));
        assert_eq!(said(Bytes::from_static(b"\xff\x00"), false), None, "version 4 has no such signal");
        for nothing in [&b""[..], b"\0", b"\x01out", b"\x04{", b"\x04{\"Width\":-1,\"Height\":1}", b"\xff\x01", b"\x77"]
        {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_message_of_any_bytes_says_no_more_than_it_holds() {
        let seeds = vec![b"\0ls".to_vec(), b"\x04{\"Width\":80,\"Height\":24}".to_vec(), b"\xff\x00".to_vec()];
        fuzz!(keelson_fuzzing::Bytes::new(seeds, &[b"\x04", b"65536", b"-1", b"\"Width\""]), |bytes| {
            match said(Bytes::copy_from_slice(bytes), true) {
                Some(Said::Stdin(data)) => assert_eq!(data, bytes[1..]),
                Some(Said::Resize { columns, rows }) => assert!(columns.max(rows) <= u32::from(u16::MAX)),
                Some(Said::StdinLast) => assert_eq!(*bytes, [CLOSE, STDIN]),
                None => return false,
            }
            true
        });
    }
}
