//! Clients of exec and attach over SPDY: a stream for each of standard input, output, error, the terminal's size, and how it ended.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use keelson_sessions::Channel;
use tokio::io::{AsyncRead, AsyncWrite};

use super::client::{Client, FAREWELL_MAX, Gone, Said, Sink, Source};
use super::spdy::{Connection, Stream, StreamWriter};
use super::websocket::resize;
use crate::pipeline::ExecRequest;

/// How long a client may take to open its streams.
const GATHER_MAX: Duration = Duration::from_secs(30);
/// A message about the terminal's size.
const RESIZE_BYTES_MAX: usize = 1024;

/// The streams of a client, all that it was expected to open.
pub(super) struct Streams {
    connection: Connection,
    error: StreamWriter,
    stdin: Option<Stream>,
    resize: Option<Stream>,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
}

impl Streams {
    /// Waits for the streams that fit the request; None when they do not come.
    pub(super) async fn gather(
        io: impl AsyncRead + AsyncWrite + Send + 'static,
        asked: &ExecRequest,
    ) -> Option<Streams> {
        let mut connection = Connection::new(io);
        let (mut error, mut stdin, mut size, mut stdout, mut stderr) = (None, None, None, None, None);
        let all = async {
            loop {
                let complete = error.is_some()
                    && stdin.is_some() == asked.stdin
                    && stdout.is_some() == asked.stdout
                    && stderr.is_some() == asked.stderr
                    && size.is_some() == asked.tty;
                if complete {
                    return Some(());
                }
                let stream = connection.accept().await?;
                match stream.headers.get("streamtype") {
                    "error" => error = Some(stream.writer),
                    "stdin" if asked.stdin => stdin = Some(stream),
                    "stdout" if asked.stdout => stdout = Some(stream.writer),
                    "stderr" if asked.stderr => stderr = Some(stream.writer),
                    "resize" if asked.tty => size = Some(stream),
                    _ => stream.writer.reset().await,
                }
            }
        };
        tokio::time::timeout(GATHER_MAX, all).await.ok()??;
        Some(Streams { connection, error: error?, stdin, resize: size, stdout, stderr })
    }
}

pub(super) struct StreamSource {
    stdin: Option<Stream>,
    resize: Option<Stream>,
    /// The beginning of a message about the size.
    partial: BytesMut,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

pub(super) struct StreamSink {
    error: StreamWriter,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
}

impl Client for Streams {
    type Source = StreamSource;
    type Sink = StreamSink;
    type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn split(self) -> (StreamSource, StreamSink, Self::Rest) {
        let Streams { mut connection, error, stdin, resize, stdout, stderr } = self;
        let (tell_gone, gone) = tokio::sync::oneshot::channel::<()>();
        let (leave, left) = tokio::sync::oneshot::channel::<()>();
        // The connection is served until the session is over, and then seen off.
        let watch = tokio::spawn(async move {
            let client_left = async {
                while let Some(stream) = connection.accept().await {
                    stream.writer.reset().await;
                }
            };
            tokio::select! {
                () = client_left => drop(tell_gone),
                // Also when the session was dropped.
                asked = left => if asked.is_ok() {
                    let _ = tokio::time::timeout(FAREWELL_MAX, connection.finish()).await;
                    drop(tell_gone);
                },
            }
        });
        let gone = Box::pin(async move {
            let _ = gone.await;
        });
        let rest = Box::pin(async move {
            let _ = leave.send(());
            let _ = watch.await;
        });
        let source = StreamSource { stdin, resize, partial: BytesMut::new(), gone };
        (source, StreamSink { error, stdout, stderr }, rest)
    }
}

impl Source for StreamSource {
    async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(said) = self.size() {
                return Some(said);
            }
            tokio::select! {
                data = read(&mut self.stdin) => match data {
                    Some(data) => return Some(Said::Stdin(data)),
                    None => {
                        self.stdin = None;
                        return Some(Said::StdinLast);
                    }
                },
                data = read(&mut self.resize) => match data {
                    Some(data) if self.partial.len() + data.len() <= RESIZE_BYTES_MAX => {
                        self.partial.extend_from_slice(&data);
                    }
                    _ => self.resize = None,
                },
                () = &mut self.gone => return None,
            }
        }
    }
}

impl StreamSource {
    /// The first whole message of what has arrived about the terminal's size.
    fn size(&mut self) -> Option<Said> {
        let end = self.partial.iter().position(|&byte| byte == b'}')?;
        let message = self.partial.split_to(end + 1);
        resize(message.trim_ascii())
    }
}

/// What comes next on a stream that there is; otherwise never anything.
async fn read(stream: &mut Option<Stream>) -> Option<Bytes> {
    match stream {
        Some(stream) => stream.read().await,
        None => std::future::pending().await,
    }
}

impl Sink for StreamSink {
    async fn write(&mut self, channel: Channel, data: Bytes) -> Result<(), Gone> {
        let stream = if channel == Channel::Stderr { &self.stderr } else { &self.stdout };
        match stream {
            Some(stream) => stream.write(data).await.map_err(|_| Gone),
            None => Ok(()),
        }
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.error.ping().map_err(|_| Gone)
    }

    async fn finish(&mut self, status: Bytes) -> Result<(), Gone> {
        for stream in [&self.stdout, &self.stderr].into_iter().flatten() {
            stream.finish(Bytes::new()).await;
        }
        self.error.finish(status).await;
        Ok(())
    }
}
