//! gRPC, and Kubernetes' REST, as cheaply as a load generator needs them: messages that were encoded before, straight onto HTTP/2.
//!
//! Client and servers share the machine, so each microsecond of the client is taken from what is measured. A channel of
//! tonic costs a queue, two tasks and an encoder a request; this costs none of them. Requests have no deadline of their own:
//! whoever runs a load bounds the whole of it.

mod connection;
mod lines;
mod method;
mod rest;
mod status;
mod stream;

pub use connection::{Connection, Endpoint, client_tls};
pub use lines::Lines;
pub use method::Method;
pub use rest::{Rest, Verb};
pub use status::Failure;
pub use stream::Stream;

use bytes::{BufMut, Bytes, BytesMut};

/// In front of each message: whether it is compressed (never, here), and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// A message with its prefix, ready to be sent any number of times.
pub fn frame(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // `BytesMut` grows as needed, so there is always room.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

/// How long the message behind a whole prefix is.
fn message_length(prefix: &[u8]) -> Option<usize> {
    let length = prefix.get(1..PREFIX_BYTES)?;
    Some(u32::from_be_bytes(length.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_proto::etcdserverpb::PutRequest;
    use prost::Message as _;

    #[test]
    fn a_frame_is_a_prefix_and_the_message() {
        let put = PutRequest { key: "k".into(), value: vec![7; 300].into(), ..PutRequest::default() };
        let framed = frame(&put);
        assert_eq!(framed[0], 0);
        assert_eq!(message_length(&framed), Some(framed.len() - PREFIX_BYTES));
        assert_eq!(PutRequest::decode(framed.slice(PREFIX_BYTES..)).expect("a message"), put);
        assert_eq!(message_length(&framed[..4]), None);
    }
}
