//! Where a command reads from and writes to.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::keelson::node::v1::TunnelRequest;
use keelson_sessions::{Channel, Closed, Sender};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Bytes between two commands of a pipe; a command that writes more into it ends.
pub const PIPE_BYTES_MAX: usize = 1 << 20;

/// Standard input. Clones read the same: what one took the other does not get.
#[derive(Clone)]
pub enum Input {
    /// What is left of a file or a pipe.
    Bytes(Arc<Mutex<Bytes>>),
    /// A client's, in pieces; a terminal's, in lines.
    Session(Arc<tokio::sync::Mutex<mpsc::Receiver<Bytes>>>),
}

/// Standard output or error.
#[derive(Clone)]
pub enum Output {
    Nowhere,
    Buffer(Arc<Mutex<Vec<u8>>>),
    Session { sender: Sender<TunnelRequest>, channel: Channel, tty: bool },
}

/// The three of a command.
pub struct Streams {
    pub stdin: Input,
    pub stdout: Output,
    pub stderr: Output,
}

impl Input {
    pub fn bytes(bytes: impl Into<Bytes>) -> Input {
        Input::Bytes(Arc::new(Mutex::new(bytes.into())))
    }

    pub fn session(pieces: mpsc::Receiver<Bytes>) -> Input {
        Input::Session(Arc::new(tokio::sync::Mutex::new(pieces)))
    }

    /// The next piece; None at the end. Cancel-safe.
    pub async fn read(&mut self) -> Option<Bytes> {
        match self {
            Input::Bytes(bytes) => Some(std::mem::take(&mut *bytes.lock())).filter(|bytes| !bytes.is_empty()),
            Input::Session(pieces) => pieces.lock().await.recv().await,
        }
    }

    /// Everything up to the end.
    ///
    /// # Errors
    /// When there is more than `max`.
    pub async fn read_all(&mut self, max: usize) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while let Some(piece) = self.read().await {
            if all.len() + piece.len() > max {
                return Err(format!("more than {max} bytes of input"));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl Output {
    /// Waits while nobody reads.
    ///
    /// # Errors
    /// When nobody will.
    pub async fn write(&self, data: impl Into<Bytes>) -> Result<(), Closed> {
        let data = data.into();
        match self {
            Output::Nowhere => Ok(()),
            Output::Buffer(buffer) => {
                let mut buffer = buffer.lock();
                if buffer.len() + data.len() > PIPE_BYTES_MAX {
                    return Err(Closed);
                }
                buffer.extend_from_slice(&data);
                Ok(())
            }
            Output::Session { sender, channel, tty } => {
                let data = if *tty { carriage_returns(&data) } else { data };
                sender.data(*channel, data).await
            }
        }
    }
}

fn carriage_returns(data: &[u8]) -> Bytes {
    let mut converted = Vec::with_capacity(data.len() + 8);
    for &byte in data {
        if byte == b'\n' {
            converted.push(b'\r');
        }
        converted.push(byte);
    }
    converted.into()
}
