//! The comparisons of a transaction.

use bytes::Bytes;
use keelson_proto::etcdserverpb::Compare;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::mvccpb::KeyValue;

use crate::mvcc::scan::Scan;
use crate::state::Error;

/// Whether the comparison holds for every live key that `scan` passes. Without any, it is made once with a key that has
/// revisions, version and lease 0; but a comparison of values fails, since a missing value cannot be expressed.
pub(super) fn holds(compare: &Compare, mut scan: Scan<'_>) -> Result<bool, Error> {
    let with_value = compare.target() == CompareTarget::Value;
    let mut found = false;
    while scan.advance()? {
        found = true;
        if !matches(compare, &scan.key_value(with_value)?) {
            return Ok(false);
        }
    }
    Ok(found || (!with_value && matches(compare, &KeyValue::default())))
}

/// Whether the comparison holds for the pair of a single key, or for its absence.
pub(super) fn holds_for(compare: &Compare, pair: Option<&KeyValue>) -> bool {
    match pair {
        Some(pair) => matches(compare, pair),
        None => compare.target() != CompareTarget::Value && matches(compare, &KeyValue::default()),
    }
}

/// Compares. An operand of another kind than the target counts as 0 or empty, as in etcd.
fn matches(compare: &Compare, pair: &KeyValue) -> bool {
    let order = match compare.target() {
        CompareTarget::Version => pair.version.cmp(&integer(compare, CompareTarget::Version)),
        CompareTarget::Create => pair.create_revision.cmp(&integer(compare, CompareTarget::Create)),
        CompareTarget::Mod => pair.mod_revision.cmp(&integer(compare, CompareTarget::Mod)),
        CompareTarget::Lease => pair.lease.cmp(&integer(compare, CompareTarget::Lease)),
        CompareTarget::Value => match &compare.target_union {
            Some(TargetUnion::Value(value)) => pair.value.cmp(value),
            _ => pair.value.cmp(&Bytes::new()),
        },
    };
    match compare.result() {
        CompareResult::Equal => order.is_eq(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
        CompareResult::NotEqual => order.is_ne(),
    }
}

fn integer(compare: &Compare, target: CompareTarget) -> i64 {
    match (&compare.target_union, target) {
        (Some(TargetUnion::Version(number)), CompareTarget::Version)
        | (Some(TargetUnion::CreateRevision(number)), CompareTarget::Create)
        | (Some(TargetUnion::ModRevision(number)), CompareTarget::Mod)
        | (Some(TargetUnion::Lease(number)), CompareTarget::Lease) => *number,
        _ => 0,
    }
}
