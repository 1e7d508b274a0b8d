//! KV.Range: one message, whatever its size.

use std::collections::VecDeque;

use bytes::Bytes;
use http::Request;
use keelson_proto::etcdserverpb::RangeRequest;
use prost::Message as _;
use tonic::Status;

use super::lists::Share;
use super::produce::{self, Over, Sink, sink, step};
use super::{FIRST_BYTES, SEGMENT_BYTES, frame, one_message, receive, sorted};
use crate::etcd_v3::front::Front;
use crate::etcd_v3::guard::Caller;
use crate::etcd_v3::measure::Received;
use crate::etcd_v3::reply::{self, Reply};
use crate::mvcc::range::is_sorted;
use crate::state::listing::{End, Listing};
use crate::{Error, machine, validate};

/// Segments that were read, and the end if they are all.
#[derive(Default)]
struct Held {
    segments: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
}

/// What is read again while it is sent.
struct Rest {
    listing: Listing,
    bytes: usize,
}

pub(super) async fn answer(front: &Front, request: Request<Received>) -> Result<Reply, Status> {
    let (caller, request) = receive(front, request).await?;
    front.serves(&request)?;
    validate::range(&request)?;
    if request.range_end.is_empty() {
        let mut response = caller.range(request).await?;
        front.complete(&mut response.header);
        return one_message(&response);
    }
    if is_sorted(&request) && !request.count_only {
        return sorted::answer(front, &caller, request).await;
    }
    list(front, &caller, request).await
}

async fn list(front: &Front, caller: &Caller, request: RangeRequest) -> Result<Reply, Status> {
    let reading = caller.read(&request).await?;
    // Small lists are done in one visit to the disk's threads, and are one piece of memory.
    let (listing, mut message, end) = front
        .handle
        .list(request, true, |mut listing| {
            let mut message = reply::message();
            let end = listing.read(&mut message, FIRST_BYTES)?;
            Ok((listing, message, end))
        })
        .await?;
    caller.done(&reading).await?;
    if let Some(end) = end {
        frame(front, end).encode(&mut message).map_err(|error| Status::internal(error.to_string()))?;
        return Ok(Reply::one(reply::seal(message)?));
    }
    let hold_bytes = front.lists.hold_bytes();
    let mut share = front.lists.take(hold_bytes).await?;
    let first = Bytes::from(message).split_off(reply::PREFIX_LEN);
    let (listing, held) = step(listing, move |listing| hold(listing, first, hold_bytes)).await?;
    let (end, rest, mut share) = if let Some(end) = held.end {
        share.shrink(held.bytes);
        (end, None, Some(share))
    } else {
        let (listing, (bytes, end)) = step(listing, |listing| {
            let mark = listing.mark();
            let (bytes, end) = listing.measure()?;
            listing.rewind(&mark)?;
            Ok((bytes, end))
        })
        .await?;
        (end, Some(Rest { listing, bytes }), Some(share))
    };
    let head = frame(front, end).encode_to_vec();
    let bytes = head.len() + held.bytes + rest.as_ref().map_or(0, |rest| rest.bytes);
    let first = [&reply::prefix(bytes)?[..], &head].concat();
    let (mut sink, parts) = sink(front.lists.stall, Box::pin(std::future::pending()));
    machine::spawn(async move {
        let outcome = send(&mut sink, held, rest, &mut share).await;
        sink.finish(outcome).await;
    });
    Ok(Reply::parts(Some(first.into()), parts))
}

/// Reads on after `first` until so much is held, or to the end.
fn hold(listing: &mut Listing, first: Bytes, bytes_max: usize) -> Result<Held, Error> {
    let mut held = Held { bytes: first.len(), segments: [first].into(), end: None };
    while held.bytes < bytes_max && held.end.is_none() {
        let mut segment = Vec::with_capacity(SEGMENT_BYTES);
        held.end = listing.read(&mut segment, SEGMENT_BYTES)?;
        held.bytes += segment.len();
        held.segments.push_back(segment.into());
    }
    Ok(held)
}

async fn send(
    sink: &mut Sink,
    held: Held,
    rest: Option<Rest>,
    share: &mut Option<Share>,
) -> Result<Result<(), Status>, Over> {
    // While pieces follow, the whole share pays for them.
    let mut kept = if rest.is_some() { share.take() } else { None };
    produce::send_held(sink, held.segments, held.bytes, share).await?;
    let Some(Rest { mut listing, bytes }) = rest else { return Ok(Ok(())) };
    if let Some(share) = &mut kept {
        share.shrink(SEGMENT_BYTES * 4);
    }
    let mut sent = 0;
    loop {
        let segment = step(listing, |listing| {
            let mut segment = Vec::with_capacity(SEGMENT_BYTES);
            let end = listing.read(&mut segment, SEGMENT_BYTES)?;
            Ok((segment, end))
        });
        let (next, (segment, end)) = match segment.await {
            Ok(read) => read,
            Err(error) => return Ok(Err(error.into())),
        };
        sent += segment.len();
        if !segment.is_empty() {
            sink.data(segment.into()).await?;
        }
        if end.is_some() {
            break;
        }
        listing = next;
    }
    let whole = sent == bytes;
    Ok(if whole { Ok(()) } else { Err(Status::internal(format!("{sent} of {bytes} bytes were read again"))) })
}
