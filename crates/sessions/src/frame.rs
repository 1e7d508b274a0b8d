//! What travels in a session, beside credit.

use bytes::Bytes;
use keelson_proto::keelson::node::v1 as proto;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;

use crate::DATA_BYTES_MAX;

/// What each frame costs beside its data, so that many empty ones are bounded too.
const OVERHEAD_BYTES: usize = 64;

/// One direction of bytes. A forwarded port's are [`Channel::Stdin`] and [`Channel::Stdout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Stdin,
    Stdout,
    Stderr,
}

/// See [`crate::Receiver::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Data(Channel, Bytes),
    /// Nothing follows on this channel.
    Last(Channel),
    /// The terminal's new size in characters.
    Resize {
        columns: u32,
        rows: u32,
    },
    /// Nothing follows at all.
    End(Outcome),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the exit code; 0 for what has none.
    Exited(i32),
    /// Without one: why.
    Failed(String),
}

impl Frame {
    /// What it takes of the sender's credit.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Frame::Data(_, data) => data.len() + OVERHEAD_BYTES,
            Frame::Last(_) | Frame::Resize { .. } => OVERHEAD_BYTES,
            Frame::End(_) => 0,
        }
    }

    pub(crate) fn to_wire(&self) -> Wire {
        let data = |channel: Channel, data: Bytes, last| {
            let stream = match channel {
                Channel::Stdin => proto::data::Stream::Stdin,
                Channel::Stdout => proto::data::Stream::Stdout,
                Channel::Stderr => proto::data::Stream::Stderr,
            };
            Wire::Data(proto::Data { stream: stream.into(), data, last })
        };
        match self {
            Frame::Data(channel, bytes) => data(*channel, bytes.clone(), false),
            Frame::Last(channel) => data(*channel, Bytes::new(), true),
            Frame::Resize { columns, rows } => Wire::Resize(proto::Resize { columns: *columns, rows: *rows }),
            Frame::End(outcome) => Wire::End(match outcome {
                Outcome::Exited(exit_code) => proto::SessionEnd { exit_code: *exit_code, error: String::new() },
                Outcome::Failed(error) => proto::SessionEnd { exit_code: 0, error: error.clone() },
            }),
        }
    }

    /// None for what is no frame of data, or breaks the protocol.
    pub(crate) fn from_wire(wire: Wire) -> Option<Frame> {
        Some(match wire {
            Wire::Data(proto::Data { stream, data, last }) => {
                let channel = match proto::data::Stream::try_from(stream).ok()? {
                    proto::data::Stream::Stdin => Channel::Stdin,
                    proto::data::Stream::Stdout => Channel::Stdout,
                    proto::data::Stream::Stderr => Channel::Stderr,
                    proto::data::Stream::Unspecified => return None,
                };
                match (last, data.is_empty()) {
                    (true, true) => Frame::Last(channel),
                    (false, _) if data.len() <= DATA_BYTES_MAX => Frame::Data(channel, data),
                    _ => return None,
                }
            }
            Wire::Resize(proto::Resize { columns, rows }) => Frame::Resize { columns, rows },
            Wire::End(proto::SessionEnd { exit_code, error }) if error.is_empty() => {
                Frame::End(Outcome::Exited(exit_code))
            }
            Wire::End(proto::SessionEnd { error, .. }) => Frame::End(Outcome::Failed(error)),
            Wire::Credit(_) => return None,
        })
    }
}
