//! KV.RangeStream: the answer of KV.Range in parts, all of one pinned revision.
//!
//! Parts are disjoint and in the order of keys; header, `more` and `count` are in the last one only. A compaction does not
//! end a stream that has begun.

use bytes::Bytes;
use http::Request;
use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::Status;

use super::lists::PARTS_HELD;
use super::produce::{Over, Sink, sink, step};
use super::{FIRST_BYTES, frame, receive};
use crate::etcd_v3::front::Front;
use crate::etcd_v3::measure::Received;
use crate::etcd_v3::reply::{self, Reply};
use crate::etcd_v3::status_code::{NO_STREAMED_FILTERS, NO_STREAMED_ORDERS};
use crate::mvcc::range::has_filters;
use crate::state::listing::{End, Listing};
use crate::{machine, validate};

/// Room before the pairs of a part: the prefix of the message, and the tag and length of its only field.
const ROOM: usize = 16;

pub(super) async fn answer(front: &Front, request: Request<Received>) -> Result<Reply, Status> {
    let (caller, request) = receive(front, request).await?;
    front.serves(&request)?;
    check(&request)?;
    let reading = caller.read(&request).await?;
    // The cache is for what is read often; a list of everything would push it out.
    let begun = front.handle.list(request, false, |mut listing| {
        let read = read(&mut listing, FIRST_BYTES)?;
        Ok((listing, read))
    });
    let (listing, (pairs, end)) = begun.await?;
    caller.done(&reading).await?;
    let first = part(front, pairs, end)?;
    if end.is_some() {
        return Ok(Reply::one(first));
    }
    let part_bytes_max = front.lists.part_bytes();
    let share = front.lists.take(part_bytes_max * PARTS_HELD).await?;
    let (mut sink, parts) = sink(front.lists.stall, front.stop(caller.metadata()));
    let front = front.clone();
    machine::spawn(async move {
        let outcome = send(&front, &mut sink, listing, part_bytes_max).await;
        drop(share);
        sink.finish(outcome).await;
    });
    Ok(Reply::parts(Some(first), parts))
}

/// What cannot be given in the order in which it is read is refused, in etcd's order and words. A target without an order
/// is passed over here, as in etcd.
fn check(request: &RangeRequest) -> Result<(), Status> {
    validate::range(request)?;
    let by_key = request.sort_target() == SortTarget::Key && request.sort_order() == SortOrder::Ascend;
    if request.sort_order() != SortOrder::None && !by_key {
        return Err(Status::unimplemented(NO_STREAMED_ORDERS));
    }
    if has_filters(request) {
        return Err(Status::unimplemented(NO_STREAMED_FILTERS));
    }
    Ok(())
}

/// Sends what comes after the first part. Parts grow up to the size of the largest request, so that a small answer is soon
/// there and a large one has few parts.
async fn send(
    front: &Front,
    sink: &mut Sink,
    mut listing: Listing,
    part_bytes_max: usize,
) -> Result<Result<(), Status>, Over> {
    let mut bytes = FIRST_BYTES;
    loop {
        bytes = (bytes * 2).min(part_bytes_max);
        let read = match step(listing, move |listing| read(listing, bytes)).await {
            Ok((next, read)) => {
                listing = next;
                read
            }
            Err(error) => return Ok(Err(error.into())),
        };
        let end = read.1;
        match part(front, read.0, end) {
            Ok(part) => sink.data(part).await?,
            Err(status) => return Ok(Err(status)),
        }
        if end.is_some() {
            return Ok(Ok(()));
        }
    }
}

/// The next pairs, behind room for what comes before them.
fn read(listing: &mut Listing, bytes: usize) -> Result<(Vec<u8>, Option<End>), crate::Error> {
    let mut pairs = vec![0; ROOM];
    let end = listing.read(&mut pairs, bytes)?;
    Ok((pairs, end))
}

/// A message of the pairs behind their room, and of the end when it is the last.
fn part(front: &Front, mut pairs: Vec<u8>, end: Option<End>) -> Result<Bytes, Status> {
    if let Some(end) = end {
        let tail: RangeResponse = frame(front, end);
        tail.encode(&mut pairs).map_err(|error| Status::internal(error.to_string()))?;
    }
    // RangeStreamResponse has one field, the response.
    let response_len = pairs.len() - ROOM;
    let mut field = Vec::with_capacity(ROOM);
    encode_key(1, WireType::LengthDelimited, &mut field);
    encode_varint(response_len as u64, &mut field);
    let prefix = reply::prefix(field.len() + response_len)?;
    let start = ROOM - prefix.len() - field.len();
    pairs[start..start + prefix.len()].copy_from_slice(&prefix);
    pairs[start + prefix.len()..ROOM].copy_from_slice(&field);
    Ok(Bytes::from(pairs).slice(start..))
}
