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
    let mut response = RangeResponse {
        header: Some(ResponseHeader { revision, ..ResponseHeader::default() }),
        ..RangeResponse::default()
    };
    // One more than the limit tells whether there is more.
    let wanted = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).map(|limit| limit.saturating_add(1));
    let order = Order::of(request);
    let with_value = !request.keys_only
        || order == Some(Order { target: SortTarget::Value, descending: false })
        || order == Some(Order { target: SortTarget::Value, descending: true });
    while scan.advance()? {
        response.count += 1;
        if request.count_only || !passes_filters(&scan, request) {
            continue;
        }
        match (wanted, order) {
            (Some(wanted), None) if response.kvs.len() >= wanted => continue,
            (Some(wanted), Some(order)) if response.kvs.len() >= wanted.saturating_mul(2).max(SORT_SLACK_MIN) => {
                order.sort(&mut response.kvs);
                response.kvs.truncate(wanted);
            }
            _ => {}
        }
        response.kvs.push(scan.key_value(with_value)?);
    }
    if let Some(order) = order {
        order.sort(&mut response.kvs);
    }
    if let Some(wanted) = wanted
        && response.kvs.len() >= wanted
    {
        response.kvs.truncate(wanted - 1);
        response.more = true;
    }
    if request.keys_only {
        response.kvs.iter_mut().for_each(|pair| pair.value.clear());
    }
    Ok(response)
}

fn passes_filters(scan: &Scan<'_>, request: &RangeRequest) -> bool {
    let (modified, header) = scan.version();
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(modified, request.min_mod_revision, request.max_mod_revision)
        && within(header.create_revision, request.min_create_revision, request.max_create_revision)
}

/// An order other than by ascending key.
#[derive(Clone, Copy, PartialEq, Eq)]
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
