//! Many sessions, such as the run of a command in a container, over one stream of messages between two processes.
//!
//! A [`Sessions`] is one end of such a stream. The bytes of a session go both ways at once, each way under its own credit (see
//! `SessionFrame` in `keelson/node/v1/node.proto`), so that a session that nobody reads stalls alone: whoever reads the stream
//! never waits for a session.
//!
//! **Invariant**: what waits in a session is at most [`WINDOW_BYTES`] each way. A session ends exactly once: by its end, by the end of
//! the stream, or when the other side breaks the rules; and whoever drops it tells the other side.

mod frame;
mod session;
mod table;

pub use frame::{Channel, Frame, Outcome};
pub use session::{Receiver, Sender};
pub use table::{Full, Sessions};

/// What one side may have sent and not got back as credit.
pub const WINDOW_BYTES: usize = 256 << 10;
/// The largest piece of data in one frame.
pub const DATA_BYTES_MAX: usize = 32 << 10;

/// Sessions that a node's stream may carry at once. Both ends hold to it, so that neither opens what the other refuses.
pub const SESSIONS_MAX: usize = 1024;

/// The other side is not interested any more, or the stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct Closed;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
