//! Between openraft's values and `keelson.raft.v1`, which is both the wire format and what the log stores.

use bytes::Bytes;
use keelson_proto::keelson::raft::v1 as proto;
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use prost::Message as _;

use super::types::{
    Entry, LogId, Membership, Payload, Proposal, SnapshotMeta, StoredMembership, TypeConfig, Vote, log_id,
};

/// A message that no member of this version sends or stores.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not the message it should be.
    #[error("{what} cannot be decoded")]
    Decode {
        /// The message.
        what: &'static str,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// A required part is absent.
    #[error("{what} is missing")]
    Missing {
        /// The part.
        what: &'static str,
    },
    /// An entry with a payload of a newer version.
    #[error("entry {index} has a payload that this version does not know: run a newer version")]
    UnknownPayload {
        /// The entry.
        index: u64,
    },
    /// Not a membership.
    #[error("the membership makes no sense")]
    Membership,
    /// Entries that do not follow each other, or that cannot be counted.
    #[error("entry {index} is not where it should be")]
    Order {
        /// The entry.
        index: u64,
    },
}

/// Entries as everything outside openraft counts them: from 1, with 0 for none.
pub(crate) fn position(index: Option<u64>) -> u64 {
    index.map_or(0, |index| index + 1)
}

/// The other way round.
pub(crate) fn index(position: u64) -> Option<u64> {
    position.checked_sub(1)
}

fn required<T>(value: Option<T>, what: &'static str) -> Result<T, Error> {
    value.ok_or(Error::Missing { what })
}

pub(crate) fn from_log_id(id: &LogId) -> proto::LogId {
    proto::LogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn to_log_id(id: &proto::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn from_vote(vote: &Vote) -> proto::Vote {
    proto::Vote { term: vote.leader_id.term, node_id: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn to_vote(vote: Option<proto::Vote>) -> Result<Vote, Error> {
    let vote = required(vote, "a vote")?;
    let of = if vote.committed { Vote::new_committed } else { Vote::new };
    Ok(of(vote.term, vote.node_id))
}

fn from_membership(membership: &Membership) -> proto::Membership {
    let configs = membership.get_joint_config().iter();
    proto::Membership {
        configs: configs.map(|voters| proto::membership::Voters { ids: voters.iter().copied().collect() }).collect(),
        node_ids: membership.nodes().map(|(id, ())| *id).collect(),
    }
}

fn to_membership(membership: proto::Membership) -> Result<Membership, Error> {
    let configs = membership.configs.into_iter().map(|voters| voters.ids.into_iter().collect()).collect();
    let nodes: std::collections::BTreeMap<u64, ()> = membership.node_ids.into_iter().map(|id| (id, ())).collect();
    Membership::new(configs, nodes).map_err(|_| Error::Membership)
}

pub(crate) fn from_stored_membership(stored: &StoredMembership) -> proto::StoredMembership {
    proto::StoredMembership {
        log_id: stored.log_id().as_ref().map(from_log_id),
        membership: Some(from_membership(stored.membership())),
    }
}

pub(crate) fn to_stored_membership(stored: Option<proto::StoredMembership>) -> Result<StoredMembership, Error> {
    let stored = required(stored, "a membership")?;
    let log_id = stored.log_id.as_ref().map(to_log_id);
    if log_id.is_none() {
        return Ok(StoredMembership::default());
    }
    Ok(StoredMembership::new(log_id, to_membership(required(stored.membership, "a membership's voters")?)?))
}

/// Empty bytes are the membership before the first.
pub(crate) fn decode_stored_membership(bytes: Bytes) -> Result<StoredMembership, Error> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    let decoded = proto::StoredMembership::decode(bytes);
    to_stored_membership(Some(decoded.map_err(|source| Error::Decode { what: "a membership", source })?))
}

pub(crate) fn from_entry(entry: &Entry) -> proto::Entry {
    use proto::entry::Payload as To;
    let payload = match &entry.payload {
        EntryPayload::Blank => To::Blank(proto::entry::Blank {}),
        EntryPayload::Membership(membership) => To::Membership(from_membership(membership)),
        EntryPayload::Normal(proposal) => To::Batch(proposal.0.clone()),
    };
    proto::Entry { term: entry.log_id.leader_id.term, index: entry.log_id.index, payload: Some(payload) }
}

pub(crate) fn to_entry(entry: proto::Entry) -> Result<Entry, Error> {
    use proto::entry::Payload as From;
    let payload: Payload = match entry.payload {
        Some(From::Blank(_)) => EntryPayload::Blank,
        Some(From::Membership(membership)) => EntryPayload::Membership(to_membership(membership)?),
        Some(From::Batch(batch)) => EntryPayload::Normal(Proposal(batch)),
        None => return Err(Error::UnknownPayload { index: entry.index }),
    };
    Ok(Entry { log_id: log_id(entry.term, entry.index), payload })
}

pub(crate) fn decode_entry(bytes: Bytes) -> Result<Entry, Error> {
    to_entry(proto::Entry::decode(bytes).map_err(|source| Error::Decode { what: "a log entry", source })?)
}

pub(crate) fn from_append(request: &AppendEntriesRequest<TypeConfig>) -> proto::AppendRequest {
    proto::AppendRequest {
        vote: Some(from_vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(from_log_id),
        entries: request.entries.iter().map(from_entry).collect(),
        committed: request.leader_commit.as_ref().map(from_log_id),
    }
}

/// Neither openraft nor the log looks whether entries follow each other.
pub(crate) fn to_append(request: proto::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Error> {
    let prev_log_id = countable(request.previous.as_ref().map(to_log_id))?;
    let entries = request.entries.into_iter().map(to_entry).collect::<Result<Vec<_>, _>>()?;
    let mut before = prev_log_id;
    for Entry { log_id, .. } in &entries {
        if log_id.index != position(before.map(|id| id.index))
            || before.is_some_and(|id| id.leader_id.term > log_id.leader_id.term)
        {
            return Err(Error::Order { index: log_id.index });
        }
        before = countable(Some(*log_id))?;
    }
    let leader_commit = countable(request.committed.as_ref().map(to_log_id))?;
    Ok(AppendEntriesRequest { vote: to_vote(request.vote)?, prev_log_id, entries, leader_commit })
}

/// There is always an index behind an entry's.
fn countable(id: Option<LogId>) -> Result<Option<LogId>, Error> {
    match id {
        Some(LogId { index: u64::MAX, .. }) => Err(Error::Order { index: u64::MAX }),
        other => Ok(other),
    }
}

pub(crate) fn from_append_result(result: &StreamAppendResult<TypeConfig>) -> proto::AppendResponse {
    use proto::append_response::{Matched, Result as To};
    let result = match result {
        Ok(matched) => To::Matched(Matched { log_id: matched.as_ref().map(from_log_id) }),
        Err(StreamAppendError::Conflict(at)) => To::Conflict(from_log_id(at)),
        Err(StreamAppendError::HigherVote(vote)) => To::HigherVote(from_vote(vote)),
    };
    proto::AppendResponse { result: Some(result) }
}

pub(crate) fn to_append_result(response: proto::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, Error> {
    use proto::append_response::Result as From;
    Ok(match required(response.result, "the result of an append")? {
        From::Matched(matched) => Ok(matched.log_id.as_ref().map(to_log_id)),
        From::Conflict(at) => Err(StreamAppendError::Conflict(to_log_id(&at))),
        From::HigherVote(vote) => Err(StreamAppendError::HigherVote(to_vote(Some(vote))?)),
    })
}

pub(crate) fn from_vote_request(request: &VoteRequest<TypeConfig>, pre_vote: bool) -> proto::VoteRequest {
    proto::VoteRequest {
        vote: Some(from_vote(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(from_log_id),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub(crate) fn to_vote_request(request: proto::VoteRequest) -> Result<VoteRequest<TypeConfig>, Error> {
    let last_log_id = countable(request.last_log_id.as_ref().map(to_log_id))?;
    let mut to = VoteRequest::new(to_vote(request.vote)?, last_log_id);
    to.leadership_transfer = request.leadership_transfer;
    Ok(to)
}

pub(crate) fn from_vote_response(response: &VoteResponse<TypeConfig>) -> proto::VoteResponse {
    proto::VoteResponse {
        vote: Some(from_vote(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(from_log_id),
    }
}

pub(crate) fn to_vote_response(response: proto::VoteResponse) -> Result<VoteResponse<TypeConfig>, Error> {
    let last_log_id = response.last_log_id.as_ref().map(to_log_id);
    Ok(VoteResponse::new(to_vote(response.vote)?, last_log_id, response.granted))
}

pub(crate) fn from_transfer(request: &TransferLeaderRequest<TypeConfig>) -> proto::TransferLeaderRequest {
    proto::TransferLeaderRequest {
        from_leader: Some(from_vote(request.from_leader())),
        to_node_id: *request.to_node_id(),
        last_log_id: request.last_log_id().map(from_log_id),
    }
}

pub(crate) fn to_transfer(request: proto::TransferLeaderRequest) -> Result<TransferLeaderRequest<TypeConfig>, Error> {
    let last_log_id = request.last_log_id.as_ref().map(to_log_id);
    Ok(TransferLeaderRequest::new(to_vote(request.from_leader)?, request.to_node_id, last_log_id))
}

pub(crate) fn from_transfer_response(response: &TransferLeaderResponse<TypeConfig>) -> proto::TransferLeaderResponse {
    use proto::transfer_leader_response::{LogNotFlushed, Refusal};
    let refusal = match response {
        Ok(()) => None,
        Err(TransferLeaderError::VoteChanged { actual, .. }) => Some(Refusal::VoteChanged(from_vote(actual))),
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            Some(Refusal::LogNotFlushed(LogNotFlushed { actual: actual.as_ref().map(from_log_id) }))
        }
    };
    proto::TransferLeaderResponse { refusal }
}

/// `request` is what was answered.
pub(crate) fn to_transfer_response(
    response: proto::TransferLeaderResponse,
    request: &TransferLeaderRequest<TypeConfig>,
) -> Result<TransferLeaderResponse<TypeConfig>, Error> {
    use proto::transfer_leader_response::Refusal;
    Ok(match response.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(actual)) => {
            Err(TransferLeaderError::VoteChanged { expected: *request.from_leader(), actual: to_vote(Some(actual))? })
        }
        Some(Refusal::LogNotFlushed(at)) => Err(TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: at.actual.as_ref().map(to_log_id),
        }),
    })
}

pub(crate) fn from_snapshot_meta(vote: &Vote, meta: &SnapshotMeta) -> proto::SnapshotHeader {
    proto::SnapshotHeader {
        vote: Some(from_vote(vote)),
        last_log_id: meta.last_log_id.as_ref().map(from_log_id),
        membership: Some(from_stored_membership(&meta.last_membership)),
    }
}

pub(crate) fn to_snapshot_meta(header: proto::SnapshotHeader) -> Result<(Vote, SnapshotMeta), Error> {
    let meta = SnapshotMeta {
        last_log_id: countable(header.last_log_id.as_ref().map(to_log_id))?,
        last_membership: to_stored_membership(header.membership)?,
    };
    Ok((to_vote(header.vote)?, meta))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;

    use super::*;

    /// Stored entries must be readable for ever.
    #[test]
    fn an_entry_has_golden_bytes() {
        let batch =
            Entry { log_id: log_id(3, 300), payload: EntryPayload::Normal(Proposal(Bytes::from_static(b"batch"))) };
        let bytes = from_entry(&batch).encode_to_vec();
        assert_eq!(bytes, b"\x08\x03\x10\xac\x02\x2a\x05batch");
        assert_eq!(decode_entry(bytes.into()).expect("decodes"), batch);

        let voters = std::collections::BTreeSet::from([1, 2]);
        let membership = Entry {
            log_id: log_id(0, 0),
            payload: EntryPayload::Membership(Membership::new_with_defaults(vec![voters], [])),
        };
        let bytes = from_entry(&membership).encode_to_vec();
        assert_eq!(bytes, b"\x22\x0a\x0a\x04\x0a\x02\x01\x02\x12\x02\x01\x02");
        assert_eq!(decode_entry(bytes.into()).expect("decodes"), membership);

        let blank = Entry { log_id: log_id(1, 1), payload: EntryPayload::Blank };
        let bytes = from_entry(&blank).encode_to_vec();
        assert_eq!(bytes, b"\x08\x01\x10\x01\x1a\x00");
        assert_eq!(decode_entry(bytes.into()).expect("decodes"), blank);
    }

    #[test]
    fn entries_follow_each_other_or_are_refused() {
        let entry =
            |term, index| proto::Entry { term, index, payload: Some(proto::entry::Payload::Batch(Bytes::new())) };
        let append = |previous: Option<(u64, u64)>, entries: &[(u64, u64)]| {
            to_append(proto::AppendRequest {
                vote: Some(proto::Vote { term: 9, node_id: 1, committed: true }),
                previous: previous.map(|(term, index)| proto::LogId { term, index }),
                entries: entries.iter().map(|(term, index)| entry(*term, *index)).collect(),
                committed: None,
            })
        };
        for (previous, entries) in [
            (None, &[][..]),
            (None, &[(0, 0), (1, 1)]),
            (Some((1, 4)), &[(1, 5), (3, 6), (3, 7)]),
            (Some((1, u64::MAX - 1)), &[]),
        ] {
            let taken = append(previous, entries).expect("in order");
            assert_eq!(taken.entries.len(), entries.len());
        }
        for (previous, entries) in [
            (None, &[(1, 1)][..]),
            (Some((1, 4)), &[(1, 4)]),
            (Some((1, 4)), &[(1, 6)]),
            (Some((1, 4)), &[(1, 5), (1, 7)]),
            (Some((2, 4)), &[(1, 5)]),
            (Some((1, 4)), &[(3, 5), (2, 6)]),
            (Some((1, u64::MAX - 1)), &[(1, u64::MAX)]),
            (Some((1, u64::MAX)), &[]),
        ] {
            let refused = append(previous, entries);
            assert!(matches!(refused, Err(Error::Order { .. })), "{entries:?} after {previous:?}");
        }
    }

    #[test]
    fn an_unknown_payload_is_refused() {
        assert!(matches!(
            decode_entry(Bytes::from_static(b"\x08\x01\x10\x05")),
            Err(Error::UnknownPayload { index: 5 })
        ));
    }

    fn log_of_two() -> Vec<Entry> {
        let voters = std::collections::BTreeSet::from([1, 2]);
        let membership = Membership::new_with_defaults(vec![voters], [3]);
        vec![
            Entry { log_id: log_id(3, 5), payload: EntryPayload::Membership(membership) },
            Entry { log_id: log_id(4, 6), payload: EntryPayload::Normal(Proposal(Bytes::from_static(b"batch"))) },
        ]
    }

    #[test]
    fn an_entry_of_any_bytes_is_refused_or_stored_as_it_was_read() {
        let seeds = log_of_two().iter().map(|entry| from_entry(entry).encode_to_vec()).collect();
        fuzz!(keelson_fuzzing::Bytes::new(seeds, &[b"\x1a\x00", b"\x22\x00", b"\x0a\x02\x01\x02"]), |bytes| {
            let Ok(entry) = decode_entry(Bytes::copy_from_slice(bytes)) else { return false };
            let again = decode_entry(from_entry(&entry).encode_to_vec().into()).expect("what was read is stored");
            assert_eq!(again, entry);
            true
        });
    }

    #[test]
    fn messages_of_any_bytes_are_refused_or_can_be_counted() {
        let vote = Some(proto::Vote { term: 9, node_id: 1, committed: true });
        let id = Some(proto::LogId { term: 3, index: 4 });
        let entries = log_of_two().iter().map(from_entry).collect();
        let append = proto::AppendRequest { vote, previous: id, entries, committed: id };
        let ask = proto::VoteRequest { vote, last_log_id: id, leadership_transfer: true, pre_vote: true };
        let membership = Some(from_stored_membership(&StoredMembership::default()));
        let header = proto::SnapshotHeader { vote, last_log_id: id, membership };
        let seeds = vec![append.encode_to_vec(), ask.encode_to_vec(), header.encode_to_vec()];
        fuzz!(keelson_fuzzing::Bytes::new(seeds, &[b"\x08\x01", b"\x10\x05"]), |bytes| {
            let append = proto::AppendRequest::decode(&bytes[..]).ok().and_then(|message| to_append(message).ok());
            if let Some(append) = &append {
                let written = from_append(append);
                assert_eq!(from_append(&to_append(written.clone()).expect("is in order")), written);
                let last = append.entries.last().map(|entry| entry.log_id).or(append.prev_log_id);
                assert!(position(last.map(|id| id.index)) < u64::MAX);
            }
            let ask = proto::VoteRequest::decode(&bytes[..]).ok().and_then(|message| to_vote_request(message).ok());
            if let Some(ask) = &ask {
                let _ = position(ask.last_log_id.map(|id| id.index));
            }
            let meta =
                proto::SnapshotHeader::decode(&bytes[..]).ok().and_then(|message| to_snapshot_meta(message).ok());
            if let Some((vote, meta)) = &meta {
                let (vote_again, meta_again) = to_snapshot_meta(from_snapshot_meta(vote, meta)).expect("is one");
                assert_eq!((vote_again, meta_again), (*vote, meta.clone()));
            }
            append.is_some() || ask.is_some() || meta.is_some()
        });
    }
}
