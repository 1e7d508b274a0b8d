//! What mutants do to messages on their way.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::Frame;
use keelson_proto::keelson::raft::v1::MemberStatusResponse;
use prost::Message;

use super::Network;
use crate::mutant::Mutant;
use crate::workload::MARK;

/// Messages of 10,000 that are corrupted.
const CORRUPTED: u32 = 200;
/// Before each message: whether it is compressed, and its length.
const HEADER_BYTES: usize = 5;

/// A frame of a call to `path`, as it arrives.
pub(super) fn frame(network: &Network, path: &str, frame: Frame<Bytes>) -> Frame<Bytes> {
    match (network.0.mutant, path) {
        (Some(Mutant::CorruptedAppend | Mutant::CorruptedState), _) if network.0.random.chance(CORRUPTED) => {
            frame.map_data(corrupt)
        }
        (Some(Mutant::UntoldRemoval), "MemberStatus") => frame.map_data(|data| each(data, keep_removal_quiet)),
        _ => frame,
    }
}

fn corrupt(data: Bytes) -> Bytes {
    let Some(at) = data.windows(MARK.len()).position(|window| window == MARK.as_bytes()) else { return data };
    let mut data = BytesMut::from(&data[..]);
    data[at] ^= 1;
    data.freeze()
}

fn keep_removal_quiet(response: &mut MemberStatusResponse) {
    response.asker_removed = false;
}

/// Changes each message of `M`; what is none stays as it is.
fn each<M: Message + Default>(data: Bytes, change: fn(&mut M)) -> Bytes {
    let (mut rest, mut changed) = (data.clone(), BytesMut::new());
    while rest.remaining() >= HEADER_BYTES {
        let (compressed, length) = (rest.get_u8(), usize::try_from(rest.get_u32()).unwrap_or(usize::MAX));
        if rest.remaining() < length {
            return data;
        }
        let Ok(mut message) = M::decode(rest.split_to(length)) else { return data };
        change(&mut message);
        changed.put_u8(compressed);
        changed.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
        message.encode(&mut changed).expect("there is room");
    }
    changed.freeze()
}
