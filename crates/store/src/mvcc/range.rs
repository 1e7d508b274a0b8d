//! Answers etcd's Range from a scan.
//!
//! Memory holds at most `limit` pairs twice over, whatever the order asked for; without a limit, all that match.

use std::cmp::Ordering;

use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader, range_request};
use keelson_proto::mvccpb::KeyValue;
use range_request::{SortOrder, SortTarget};

use super::scan::Scan;
use crate::state::Error;

/// Pairs kept beyond the limit before a sorted result is cut to it, at least.
const SORT_SLACK_MIN: usize = 256;

/// Reads what `request` asks for. `scan` is over its keys at its revision; `revision` is the newest one.
pub(crate) fn execute(mut scan: Scan<'_>, request: &RangeRequest, revision: i64) -> Result<RangeResponse, Error> {
    let mut collector = Collector::new(request);
    while scan.advance()? {
        collector.take(&scan, request)?;
    }
    Ok(collector.finish(request, revision))
}

/// Gathers a range's answer from the places of a scan.
pub(crate) struct Collector {
    response: RangeResponse,
    /// One more than the limit, which tells whether there is more.
    wanted: Option<usize>,
    order: Option<Order>,
    with_value: bool,
    /// Bytes of the keys and values that are held.
    bytes: usize,
}

impl Collector {
    pub(crate) fn new(request: &RangeRequest) -> Self {
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        let order = Order::of(request);
        Self {
            response: RangeResponse::default(),
            wanted: limit.map(|limit| limit.saturating_add(1)),
            order,
            with_value: !request.keys_only || order.is_some_and(|order| order.target == SortTarget::Value),
            bytes: 0,
        }
    }

    /// Takes in what `scan` is on.
    pub(crate) fn take(&mut self, scan: &Scan<'_>, request: &RangeRequest) -> Result<(), Error> {
        self.response.count += 1;
        if request.count_only || !passes_filters(scan, request) {
            return Ok(());
        }
        let pairs = &mut self.response.kvs;
        match (self.wanted, self.order) {
            (Some(wanted), None) if pairs.len() >= wanted => return Ok(()),
            (Some(wanted), Some(order)) if pairs.len() >= wanted.saturating_mul(2).max(SORT_SLACK_MIN) => {
                order.sort(pairs);
                pairs.truncate(wanted);
                self.bytes = pairs.iter().map(held_bytes).sum();
            }
            _ => {}
        }
        let pair = scan.key_value(self.with_value)?;
        self.bytes += held_bytes(&pair);
        pairs.push(pair);
        Ok(())
    }

    /// What the pairs taken in so far occupy, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer; `revision` is the newest one.
    pub(crate) fn finish(self, request: &RangeRequest, revision: i64) -> RangeResponse {
        let mut response = self.response;
        response.header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
        if let Some(order) = self.order {
            order.sort(&mut response.kvs);
        }
        if let Some(wanted) = self.wanted
            && response.kvs.len() >= wanted
        {
            response.kvs.truncate(wanted - 1);
            response.more = true;
        }
        if request.keys_only {
            response.kvs.iter_mut().for_each(|pair| pair.value.clear());
        }
        response
    }
}

fn held_bytes(pair: &KeyValue) -> usize {
    size_of::<KeyValue>() + pair.key.len() + pair.value.len()
}

/// Whether the answer is in another order than that of its keys.
pub(crate) fn is_sorted(request: &RangeRequest) -> bool {
    Order::of(request).is_some()
}

/// Whether the request has bounds that versions must be within.
pub(crate) fn has_filters(request: &RangeRequest) -> bool {
    let bounds =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    bounds.iter().any(|bound| *bound != 0)
}

/// Whether the version that `scan` is on is within the request's bounds.
pub(crate) fn passes_filters(scan: &Scan<'_>, request: &RangeRequest) -> bool {
    let (modified, header) = scan.version();
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(modified, request.min_mod_revision, request.max_mod_revision)
        && within(header.create_revision, request.min_create_revision, request.max_create_revision)
}

/// An order other than by ascending key.
#[derive(Clone, Copy)]
struct Order {
    target: SortTarget,
    descending: bool,
}

impl Order {
    /// None when keys come in the order that the scan has anyway. A target other than the key without an order means
    /// ascending.
    fn of(request: &RangeRequest) -> Option<Self> {
        let descending = request.sort_order() == SortOrder::Descend;
        let order = Order { target: request.sort_target(), descending };
        (descending || order.target != SortTarget::Key).then_some(order)
    }

    fn sort(self, pairs: &mut [KeyValue]) {
        let compare = |a: &KeyValue, b: &KeyValue| -> Ordering {
            match self.target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            }
        };
        // Stable, so that equal pairs stay in the order of their keys on every member.
        pairs.sort_by(|a, b| if self.descending { compare(b, a) } else { compare(a, b) });
    }
}
