//! What the log's database holds, byte by byte.
//!
//! ```text
//! 00 "cluster"   cluster id (8) ⧺ member id (8)
//! 00 "format"    format version (4)
//! 00 "gate"      01 open | 02 rejoining ⧺ floor term (8)
//! 00 "joined"    the id that the name of a member which was added would have given it (8); absent for founders
//! 00 "purged"    term (8) ⧺ index (8) of the last entry that is gone
//! 00 "vote"      term (8) ⧺ node id (8) ⧺ 01 when committed, else 00
//! 01 index (8)   an encoded `keelson.raft.v1.Entry`
//! ```
//!
//! Integers are big-endian.

use bytes::Bytes;
use rocksdb::{DB, Direction, IteratorMode};

use super::error::Error;
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, Vote, log_id};

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

pub(super) const CLUSTER: &[u8] = b"\x00cluster";
pub(super) const FORMAT: &[u8] = b"\x00format";
pub(super) const GATE: &[u8] = b"\x00gate";
pub(super) const JOINED: &[u8] = b"\x00joined";
pub(super) const PURGED: &[u8] = b"\x00purged";
pub(super) const VOTE: &[u8] = b"\x00vote";
const ENTRY: u8 = 1;
const ENTRIES_END: &[u8] = &[ENTRY + 1];

/// What a member with this folder decided about taking part; see [`crate::raft::gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateState {
    /// Takes part without limits.
    Open,
    /// Its data were lost, or it is new to a cluster that exists.
    Rejoining {
        /// Leaders of earlier terms are not followed.
        floor_term: u64,
    },
}

pub(super) fn entry_key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The first key that no entry has.
pub(super) fn entries_end() -> &'static [u8] {
    ENTRIES_END
}

fn damaged(what: &str) -> Error {
    Error::Damaged { what: what.to_owned() }
}

fn integer(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn encode_pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_be_bytes());
    bytes[8..].copy_from_slice(&second.to_be_bytes());
    bytes
}

pub(super) fn decode_pair(bytes: &[u8], what: &str) -> Result<(u64, u64), Error> {
    match (integer(bytes, 0), integer(bytes, 8)) {
        (Some(first), Some(second)) if bytes.len() == 16 => Ok((first, second)),
        _ => Err(damaged(what)),
    }
}

pub(super) fn encode_vote(vote: &Vote) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[..16].copy_from_slice(&encode_pair(vote.leader_id.term, vote.leader_id.voted_for));
    bytes[16] = u8::from(vote.committed);
    bytes
}

pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote, Error> {
    let (pair, committed) = bytes.split_at_checked(16).ok_or_else(|| damaged("the vote"))?;
    let (term, node_id) = decode_pair(pair, "the vote")?;
    match committed {
        [0] => Ok(Vote::new(term, node_id)),
        [1] => Ok(Vote::new_committed(term, node_id)),
        _ => Err(damaged("the vote")),
    }
}

pub(super) fn encode_purged(id: &LogId) -> [u8; 16] {
    encode_pair(id.leader_id.term, id.index)
}

pub(super) fn encode_gate(state: GateState) -> Vec<u8> {
    match state {
        GateState::Open => vec![1],
        GateState::Rejoining { floor_term } => {
            let mut bytes = vec![2];
            bytes.extend_from_slice(&floor_term.to_be_bytes());
            bytes
        }
    }
}

pub(super) fn decode_gate(bytes: &[u8]) -> Result<GateState, Error> {
    match bytes {
        [1] => Ok(GateState::Open),
        [2, term @ ..] if term.len() == 8 => {
            let floor_term = integer(term, 0).ok_or_else(|| damaged("the gate"))?;
            Ok(GateState::Rejoining { floor_term })
        }
        _ => Err(damaged("the gate")),
    }
}

pub(super) fn read_vote(db: &DB) -> Result<Option<Vote>, Error> {
    let bytes = db.get_pinned(VOTE).map_err(Error::rocks("reading the vote"))?;
    bytes.map(|bytes| decode_vote(&bytes)).transpose()
}

pub(super) fn read_gate(db: &DB) -> Result<Option<GateState>, Error> {
    let bytes = db.get_pinned(GATE).map_err(Error::rocks("reading the gate"))?;
    bytes.map(|bytes| decode_gate(&bytes)).transpose()
}

pub(super) fn read_purged(db: &DB) -> Result<Option<LogId>, Error> {
    let bytes = db.get_pinned(PURGED).map_err(Error::rocks("reading the purged position"))?;
    bytes.map(|bytes| decode_pair(&bytes, "the purged position").map(|(term, index)| log_id(term, index))).transpose()
}

pub(super) fn last_entry(db: &DB) -> Result<Option<Entry>, Error> {
    let mut from_end = db.iterator(IteratorMode::From(ENTRIES_END, Direction::Reverse));
    let Some(found) = from_end.next() else { return Ok(None) };
    let (key, value) = found.map_err(Error::rocks("reading the last entry"))?;
    if key.first() != Some(&ENTRY) {
        return Ok(None);
    }
    Ok(Some(codec::decode_entry(Bytes::from(value))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored bytes must be readable for ever.
    #[test]
    fn golden_bytes() {
        assert_eq!(entry_key(258), *b"\x01\0\0\0\0\0\0\x01\x02");
        let vote = Vote::new_committed(3, 9);
        assert_eq!(encode_vote(&vote), *b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x09\x01");
        assert_eq!(decode_vote(&encode_vote(&vote)).expect("decodes"), vote);
        assert_eq!(encode_purged(&log_id(2, 7)), *b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x07");
        assert_eq!(encode_gate(GateState::Open), b"\x01");
        let rejoining = GateState::Rejoining { floor_term: 4 };
        assert_eq!(encode_gate(rejoining), b"\x02\0\0\0\0\0\0\0\x04");
        assert_eq!(decode_gate(&encode_gate(rejoining)).expect("decodes"), rejoining);
        assert!(decode_gate(b"\x03").is_err());
        assert!(decode_vote(b"short").is_err());
    }
}
