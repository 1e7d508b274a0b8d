//! Pairs as the bytes of etcd's messages, without building the messages.
//!
//! A list of a million pairs would otherwise exist twice, and in pieces. The tests hold these bytes to what prost makes
//! of the same pairs.

use bytes::BufMut;
use keelson_proto::mvccpb::KeyValue;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::scan::Scan;
use super::value::Header;
use crate::state::Error;

/// The number of the field `kvs` in etcd's RangeResponse.
const KVS: u32 = 2;

/// One element of `kvs`, borrowed from where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    key: &'a [u8],
    mod_revision: i64,
    header: Header,
    value: &'a [u8],
}

impl<'a> Pair<'a> {
    /// What `scan` is on, with an empty value unless it is wanted.
    pub(crate) fn of(scan: &'a Scan<'_>, with_value: bool) -> Result<Self, Error> {
        let (mod_revision, header) = scan.version();
        let value = if with_value { scan.value()? } else { &[] };
        Ok(Self { key: scan.key(), mod_revision, header, value })
    }

    /// As [`Pair::of`], of a message.
    pub(crate) fn of_message(pair: &'a KeyValue) -> Self {
        let header = Header {
            tombstone: false,
            create_revision: pair.create_revision,
            version: pair.version,
            lease: pair.lease,
        };
        Self { key: &pair.key, mod_revision: pair.mod_revision, header, value: &pair.value }
    }

    /// Bytes that [`Pair::push`] appends.
    pub(crate) fn encoded_len(&self) -> usize {
        let message = self.message_len();
        1 + encoded_len_varint(message as u64) + message
    }

    /// Appends the pair as an element of `kvs`, with its tag.
    pub(crate) fn push(&self, out: &mut impl BufMut) {
        encode_key(KVS, WireType::LengthDelimited, out);
        encode_varint(self.message_len() as u64, out);
        push_bytes(1, self.key, out);
        for (field, number) in self.numbers() {
            if number != 0 {
                encode_key(field, WireType::Varint, out);
                encode_varint(number as u64, out);
            }
        }
        push_bytes(5, self.value, out);
        if self.header.lease != 0 {
            encode_key(6, WireType::Varint, out);
            encode_varint(self.header.lease as u64, out);
        }
    }

    fn message_len(&self) -> usize {
        let numbers = self.numbers().into_iter().chain([(6, self.header.lease)]);
        let numbers = numbers.map(|(_, number)| if number == 0 { 0 } else { 1 + encoded_len_varint(number as u64) });
        bytes_len(self.key) + bytes_len(self.value) + numbers.sum::<usize>()
    }

    fn numbers(&self) -> [(u32, i64); 3] {
        [(2, self.header.create_revision), (3, self.mod_revision), (4, self.header.version)]
    }
}

/// All field numbers here fit into a tag of one byte.
fn bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { 1 + encoded_len_varint(bytes.len() as u64) + bytes.len() }
}

fn push_bytes(field: u32, bytes: &[u8], out: &mut impl BufMut) {
    if !bytes.is_empty() {
        encode_key(field, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.put_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use keelson_proto::etcdserverpb::RangeResponse;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    proptest! {
        #[test]
        fn a_pair_has_the_bytes_that_prost_gives_it(
            key in prop::collection::vec(any::<u8>(), 0..300),
            value in prop::collection::vec(any::<u8>(), 0..300),
            numbers in any::<[i64; 4]>(),
            zeros in any::<[bool; 4]>(),
        ) {
            let number = |i: usize| if zeros[i] { 0 } else { numbers[i] };
            let pair = KeyValue {
                key: key.into(),
                create_revision: number(0),
                mod_revision: number(1),
                version: number(2),
                value: value.into(),
                lease: number(3),
            };
            let mut bytes = Vec::new();
            Pair::of_message(&pair).push(&mut bytes);
            prop_assert_eq!(bytes.len(), Pair::of_message(&pair).encoded_len());
            let response = RangeResponse { kvs: vec![pair], ..RangeResponse::default() };
            prop_assert_eq!(bytes, response.encode_to_vec());
        }
    }
}
