//! A call that stays open in both directions: a watch, a lease's keep-alive.

use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};

use super::{Failure, PREFIX_BYTES, connection, message_length, status};

/// An open stream. Dropping it cancels the call.
pub struct Stream {
    sender: SendStream<Bytes>,
    receiver: Receiver,
    buffer: BytesMut,
}

/// A server sends its headers with its first message, perhaps after it has received several.
enum Receiver {
    Waiting(Option<ResponseFuture>),
    Open(RecvStream),
}

impl Stream {
    pub(super) fn new(response: ResponseFuture, sender: SendStream<Bytes>) -> Self {
        Self { sender, receiver: Receiver::Waiting(Some(response)), buffer: BytesMut::new() }
    }

    /// Sends one more framed message.
    ///
    /// # Errors
    /// When the stream has ended.
    pub fn send(&mut self, frame: Bytes) -> Result<(), Failure> {
        Ok(self.sender.send_data(frame, false)?)
    }

    /// The next message; `None` when the server has ended the stream in order.
    ///
    /// # Errors
    /// When the stream ended with an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(message) = take_message(&mut self.buffer) {
                return Ok(Some(message));
            }
            match &mut self.receiver {
                Receiver::Waiting(response) => {
                    let Some(response) = response.take() else {
                        return Err(Failure::Connection("the stream did not open".to_owned()));
                    };
                    self.receiver = Receiver::Open(connection::body(response).await?);
                }
                Receiver::Open(body) => match body.data().await {
                    Some(chunk) => {
                        let chunk = chunk?;
                        body.flow_control().release_capacity(chunk.len())?;
                        self.buffer.extend_from_slice(&chunk);
                    }
                    None => {
                        status::check(&body.trailers().await?.unwrap_or_default())?;
                        return Ok(None);
                    }
                },
            }
        }
    }
}

/// Cuts the first whole message off.
fn take_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = message_length(buffer)?;
    if buffer.len() < PREFIX_BYTES + length {
        return None;
    }
    buffer.advance(PREFIX_BYTES);
    Some(buffer.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_wherever_the_chunks_are() {
        let mut buffer = BytesMut::new();
        let mut messages = Vec::new();
        for byte in [0, 0, 0, 0, 3, b'a', b'b', b'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'd', 0, 0] {
            buffer.extend_from_slice(&[byte]);
            messages.extend(take_message(&mut buffer));
        }
        assert_eq!(messages, ["abc", "", "d"]);
        assert_eq!(buffer.len(), 2);
    }
}
