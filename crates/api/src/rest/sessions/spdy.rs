//! SPDY/3.1 from the server's side, as far as sessions with pods need it: streams that a client opens, each with headers and bytes
//! both ways. Clients of Kubernetes speak it where WebSockets do not get through, and inside of them for forwarded ports.
//!
//! There is no flow control by window here: the clients in use (they share one library) neither send WINDOW_UPDATE nor heed it. Bounds
//! hold all the same: a stream has a short queue, and a connection is not read on while one is full.
//!
//! After the draft "SPDY Protocol - Draft 3.1".

mod connection;
mod dictionary;
mod frame;
mod headers;

pub(super) use connection::{Connection, Stream, StreamWriter};

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("version {0} of SPDY is not 3")]
    Version(u16),
    #[error("a control frame of {0} bytes is too long")]
    ControlLength(usize),
    #[error("a control frame of type {0} is cut short")]
    Truncated(u16),
    #[error("the headers cannot be read: {0}")]
    Headers(&'static str),
    #[error("stream {0} cannot be opened")]
    StreamId(u32),
    #[error("too many streams")]
    Streams,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
}
