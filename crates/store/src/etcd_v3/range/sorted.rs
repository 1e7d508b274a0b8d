//! Ranges in another order than that of their keys: all of it must be there before the first pair is known.

use keelson_proto::etcdserverpb::RangeRequest;
use keelson_proto::mvccpb::KeyValue;
use prost::Message as _;
use tonic::Status;

use super::produce::{Over, Sink, sink, step};
use super::{FIRST_BYTES, SEGMENT_BYTES, one_message};
use crate::etcd_v3::front::Front;
use crate::etcd_v3::guard::Caller;
use crate::etcd_v3::reply::{self, Reply};
use crate::handle::read::blocking;
use crate::machine;
use crate::mvcc::encode::Pair;
use crate::mvcc::range::Collector;
use crate::state::listing::Listing;

pub(super) async fn answer(front: &Front, caller: &Caller, request: RangeRequest) -> Result<Reply, Status> {
    let reading = caller.read(&request).await?;
    let begin = |mut listing: Listing| {
        let mut collector = Collector::new(listing.request());
        let done = listing.collect(&mut collector, FIRST_BYTES)?;
        Ok((listing, collector, done))
    };
    let (mut listing, mut collector, mut done) = front.handle.list(request, true, begin).await?;
    caller.done(&reading).await?;
    let mut share: Option<super::lists::Share> = None;
    let mut held_max = 0;
    while !done {
        // Step by step, since nobody knows how much there is: a list that is larger than the budget is refused.
        let more = front.lists.take(front.lists.hold_bytes()).await?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        held_max += front.lists.hold_bytes();
        (listing, (collector, done)) = step(listing, move |listing| {
            let done = listing.collect(&mut collector, held_max)?;
            Ok((collector, done))
        })
        .await?;
    }
    let mut response = blocking(move || Ok(listing.finish(collector))).await?;
    front.complete(&mut response.header);
    let Some(share) = share else { return one_message(&response) };

    let pairs = std::mem::take(&mut response.kvs);
    let head = response.encode_to_vec();
    let bytes = head.len() + pairs.iter().map(|pair| Pair::of_message(pair).encoded_len()).sum::<usize>();
    let first = [&reply::prefix(bytes)?[..], &head].concat();
    let (mut sink, parts) = sink(front.lists.stall, Box::pin(std::future::pending()));
    machine::spawn(async move {
        let outcome = send(&mut sink, pairs).await;
        drop(share);
        sink.finish(outcome).await;
    });
    Ok(Reply::parts(Some(first.into()), parts))
}

/// Sends pairs and lets go of them.
async fn send(sink: &mut Sink, pairs: Vec<KeyValue>) -> Result<Result<(), Status>, Over> {
    let mut segment = Vec::with_capacity(SEGMENT_BYTES);
    for pair in pairs {
        let encoded = Pair::of_message(&pair);
        if !segment.is_empty() && segment.len() + encoded.encoded_len() > SEGMENT_BYTES {
            let full = std::mem::replace(&mut segment, Vec::with_capacity(SEGMENT_BYTES));
            sink.data(full.into()).await?;
        }
        encoded.push(&mut segment);
    }
    if !segment.is_empty() {
        sink.data(segment.into()).await?;
    }
    Ok(Ok(()))
}
