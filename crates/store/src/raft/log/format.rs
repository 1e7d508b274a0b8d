//! The bodies of records, and the file that says whose log it is, byte by byte.
//!
//! ```text
//! entry      index (8) ⧺ term (8) ⧺ an encoded `keelson.raft.v1.Entry`
//! vote       term (8) ⧺ node id (8) ⧺ 01 when committed, else 00
//! truncate   the index (8) from which on entries are gone
//! purge      term (8) ⧺ index (8) of the last entry that is gone
//! gate       01 open | 02 rejoining ⧺ floor term (8)
//! ```
//!
//! The file `identity`:
//!
//! ```text
//! "keelson raft log"     what it is (16)
//! format version         (4)
//! cluster id             (8)
//! member id              (8)
//! id by name             the id that the member's name gives it; another one than its own when it was added later (8)
//! checksum               CRC-32C of the above (4)
//! ```
//!
//! Integers are big-endian.

use super::folder::Identity;
use crate::raft::types::{LogId, Vote, log_id};

/// The format that this version writes and reads. The first one was a RocksDB instance.
pub(super) const FORMAT_VERSION: u32 = 2;

const MAGIC: &[u8; 16] = b"keelson raft log";
const VERSION_END: usize = 20;
const IDENTITY_BYTES: usize = 48;

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

fn integer(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_be_bytes());
    bytes[8..].copy_from_slice(&second.to_be_bytes());
    bytes
}

fn decode_pair(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((integer(bytes, 0)?, integer(bytes, 8).filter(|_| bytes.len() == 16)?))
}

/// The beginning of an entry's body.
pub(super) fn encode_entry_id(id: &LogId) -> [u8; 16] {
    pair(id.index, id.leader_id.term)
}

/// The id of an entry, and the entry, encoded.
pub(super) fn split_entry(body: &[u8]) -> Option<(LogId, &[u8])> {
    let (id, entry) = body.split_at_checked(16)?;
    let (index, term) = decode_pair(id)?;
    Some((log_id(term, index), entry))
}

pub(super) fn encode_vote(vote: &Vote) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[..16].copy_from_slice(&pair(vote.leader_id.term, vote.leader_id.voted_for));
    bytes[16] = u8::from(vote.committed);
    bytes
}

pub(super) fn decode_vote(body: &[u8]) -> Option<Vote> {
    let (id, committed) = body.split_at_checked(16)?;
    let (term, node_id) = decode_pair(id)?;
    match committed {
        [0] => Some(Vote::new(term, node_id)),
        [1] => Some(Vote::new_committed(term, node_id)),
        _ => None,
    }
}

pub(super) fn encode_truncate(from: u64) -> [u8; 8] {
    from.to_be_bytes()
}

pub(super) fn decode_truncate(body: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(body.try_into().ok()?))
}

pub(super) fn encode_purge(upto: &LogId) -> [u8; 16] {
    pair(upto.leader_id.term, upto.index)
}

pub(super) fn decode_purge(body: &[u8]) -> Option<LogId> {
    decode_pair(body).map(|(term, index)| log_id(term, index))
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

pub(super) fn decode_gate(body: &[u8]) -> Option<GateState> {
    match body {
        [1] => Some(GateState::Open),
        [2, term @ ..] if term.len() == 8 => integer(term, 0).map(|floor_term| GateState::Rejoining { floor_term }),
        _ => None,
    }
}

/// Whose log it is, and the id that the member's name gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) identity: Identity,
    pub(super) id_by_name: u64,
}

/// What is wrong with a file that should say whose log it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OddOwner {
    Newer { found: u32 },
    Damaged,
}

pub(super) fn encode_owner(owner: &Owner) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IDENTITY_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    for id in [owner.identity.cluster_id, owner.identity.member_id, owner.id_by_name] {
        bytes.extend_from_slice(&id.to_be_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes
}

pub(super) fn decode_owner(bytes: &[u8]) -> Result<Owner, OddOwner> {
    let version = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk()).ok_or(OddOwner::Damaged)?;
    let found = u32::from_be_bytes(*version);
    // A newer format may have another length, but says so at the same place.
    if found > FORMAT_VERSION {
        return Err(OddOwner::Newer { found });
    }
    let (content, checksum) = bytes.split_at_checked(IDENTITY_BYTES - 4).ok_or(OddOwner::Damaged)?;
    if checksum != crc32c::crc32c(content).to_be_bytes() {
        return Err(OddOwner::Damaged);
    }
    let id = |place: usize| integer(content, VERSION_END + 8 * place).ok_or(OddOwner::Damaged);
    Ok(Owner { identity: Identity { cluster_id: id(0)?, member_id: id(1)? }, id_by_name: id(2)? })
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Bytes, fuzz};

    use super::*;

    const OWNER: Owner = Owner { identity: Identity { cluster_id: 1, member_id: 2 }, id_by_name: 3 };

    /// Stored bytes must be readable for ever.
    #[test]
    fn golden_bytes() {
        assert_eq!(encode_entry_id(&log_id(2, 258)), *b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x02");
        let vote = Vote::new_committed(3, 9);
        assert_eq!(encode_vote(&vote), *b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x09\x01");
        assert_eq!(encode_truncate(7), *b"\0\0\0\0\0\0\0\x07");
        assert_eq!(encode_purge(&log_id(2, 7)), *b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x07");
        assert_eq!(encode_gate(GateState::Open), b"\x01");
        assert_eq!(encode_gate(GateState::Rejoining { floor_term: 4 }), b"\x02\0\0\0\0\0\0\0\x04");
        let ids = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03";
        let owner = [&b"keelson raft log\0\0\0\x02"[..], ids, b"\x90\x43\xce\xfc"].concat();
        assert_eq!(encode_owner(&OWNER), owner);
    }

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else() {
        let id = log_id(2, 258);
        let entry = [&encode_entry_id(&id)[..], b"entry"].concat();
        assert_eq!(split_entry(&entry), Some((id, &b"entry"[..])));
        assert_eq!(split_entry(&entry[..15]), None);
        for vote in [Vote::new(3, 9), Vote::new_committed(3, 9)] {
            assert_eq!(decode_vote(&encode_vote(&vote)), Some(vote));
        }
        assert_eq!(decode_vote(b"short"), None);
        assert_eq!(decode_truncate(&encode_truncate(7)), Some(7));
        assert_eq!(decode_truncate(b"short"), None);
        assert_eq!(decode_purge(&encode_purge(&id)), Some(id));
        assert_eq!(decode_purge(&[0; 17]), None);
        for gate in [GateState::Open, GateState::Rejoining { floor_term: 4 }] {
            assert_eq!(decode_gate(&encode_gate(gate)), Some(gate));
        }
        assert_eq!(decode_gate(b"\x03"), None);
    }

    #[test]
    fn a_file_of_somebody_else_says_so() {
        let bytes = encode_owner(&OWNER);
        assert_eq!(decode_owner(&bytes), Ok(OWNER));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x80;
            let odd = decode_owner(&damaged).expect_err("it is damaged");
            assert_eq!(matches!(odd, OddOwner::Newer { .. }), (16..20).contains(&place), "byte {place}");
            assert!(decode_owner(&bytes[..place]).is_err(), "{place} bytes of it");
        }
        let mut newer = bytes;
        newer[19] = 3;
        newer.truncate(25);
        assert_eq!(decode_owner(&newer), Err(OddOwner::Newer { found: 3 }));
    }

    #[test]
    fn a_body_of_any_bytes_is_none_or_is_written_so() {
        let seeds = vec![
            [&encode_entry_id(&log_id(2, 258))[..], b"entry"].concat(),
            encode_vote(&Vote::new_committed(3, 9)).to_vec(),
            encode_truncate(7).to_vec(),
            encode_purge(&log_id(2, 7)).to_vec(),
            encode_gate(GateState::Rejoining { floor_term: 4 }),
            encode_owner(&OWNER),
        ];
        fuzz!(Bytes::new(seeds, &[MAGIC, b"\x01", b"\x02"]), |bytes| {
            let (entry, vote) = (split_entry(bytes), decode_vote(bytes));
            let (truncate, purge) = (decode_truncate(bytes), decode_purge(bytes));
            let (gate, owner) = (decode_gate(bytes), decode_owner(bytes).ok());
            let written = [
                entry.map(|(id, entry)| [&encode_entry_id(&id)[..], entry].concat()),
                vote.as_ref().map(|vote| encode_vote(vote).to_vec()),
                truncate.map(|from| encode_truncate(from).to_vec()),
                purge.as_ref().map(|upto| encode_purge(upto).to_vec()),
                gate.map(encode_gate),
                owner.as_ref().map(encode_owner),
            ];
            let mut written = written.into_iter().flatten().peekable();
            written.peek().is_some()
                && written.all(|again| {
                    assert_eq!(again, *bytes);
                    true
                })
        });
    }
}
