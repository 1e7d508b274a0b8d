//! Tables of requests and etcd's answers to them.

use keelson_fuzzing::fuzz;
use keelson_proto::etcdserverpb::Compare;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put_op(key: &str) -> RequestOp {
    op(Request::RequestPut(PutRequest { key: key.to_owned().into(), ..Default::default() }))
}

fn delete_op(key: &str, range_end: &str) -> RequestOp {
    op(Request::RequestDeleteRange(DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Default::default()
    }))
}

fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest { success, failure, ..Default::default() }))
}

fn check(success: Vec<RequestOp>) -> Result<(), Error> {
    txn(&TxnRequest { success, ..Default::default() }, TXN_OPS_MAX)
}

#[test]
fn a_range_needs_a_key_and_known_sort_options() {
    let good = RangeRequest { key: "a".into(), ..Default::default() };
    assert!(range(&good).is_ok());
    assert!(matches!(range(&RangeRequest::default()), Err(Error::KeyNotProvided)));
    assert!(matches!(range(&RangeRequest { sort_order: 3, ..good.clone() }), Err(Error::InvalidSortOption)));
    assert!(matches!(range(&RangeRequest { sort_target: -1, ..good }), Err(Error::InvalidSortOption)));
}

#[test]
fn a_put_may_not_give_what_it_ignores() {
    let good = PutRequest { key: "a".into(), ..Default::default() };
    assert!(put(&PutRequest { ignore_value: true, ignore_lease: true, ..good.clone() }).is_ok());
    assert!(matches!(
        put(&PutRequest { ignore_value: true, value: "v".into(), ..good.clone() }),
        Err(Error::ValueProvided)
    ));
    assert!(matches!(put(&PutRequest { ignore_lease: true, lease: 7, ..good }), Err(Error::LeaseProvided)));
    assert!(matches!(put(&PutRequest::default()), Err(Error::KeyNotProvided)));
}

#[test]
fn nested_transactions_share_one_budget_of_operations() {
    let puts = |count: usize| (0..count).map(|i| put_op(&format!("k{i}"))).collect::<Vec<_>>();
    assert!(check(puts(128)).is_ok());
    assert!(matches!(check(puts(129)), Err(Error::TooManyOps)));
    assert!(check(vec![txn_op(puts(127), vec![])]).is_ok());
    assert!(matches!(check(vec![txn_op(puts(128), vec![])]), Err(Error::TooManyOps)));
    let compares =
        TxnRequest { compare: vec![Compare { key: "a".into(), ..Default::default() }; 129], ..Default::default() };
    assert!(matches!(txn(&compares, TXN_OPS_MAX), Err(Error::TooManyOps)));
}

#[test]
fn a_compare_needs_a_key_and_an_operation_a_content() {
    let request = TxnRequest { compare: vec![Compare::default()], ..Default::default() };
    assert!(matches!(txn(&request, TXN_OPS_MAX), Err(Error::KeyNotProvided)));
    assert!(matches!(check(vec![RequestOp { request: None }]), Err(Error::KeyNotFound)));
}

#[test]
fn one_branch_writes_a_key_once() {
    let duplicate = |branch| matches!(check(branch), Err(Error::DuplicateKey));
    assert!(duplicate(vec![put_op("a"), put_op("a")]));
    assert!(duplicate(vec![put_op("a"), delete_op("a", "")]));
    assert!(duplicate(vec![delete_op("a", "c"), put_op("b")]));
    assert!(duplicate(vec![delete_op("a", "\0"), put_op("z")]));
    assert!(!duplicate(vec![delete_op("a", "c"), put_op("c")]));
    assert!(!duplicate(vec![delete_op("a", ""), put_op("a\0")]));
    assert!(!duplicate(vec![delete_op("c", "a"), put_op("b")]));
    assert!(!duplicate(vec![delete_op("a", "c"), delete_op("b", "d")]));
}

#[test]
fn branches_exclude_each_other_but_nested_and_outer_do_not() {
    let duplicate = |branch| matches!(check(branch), Err(Error::DuplicateKey));
    let either = TxnRequest { success: vec![put_op("a")], failure: vec![put_op("a")], ..Default::default() };
    assert!(txn(&either, TXN_OPS_MAX).is_ok());
    assert!(!duplicate(vec![txn_op(vec![put_op("a")], vec![put_op("a")])]));
    assert!(duplicate(vec![txn_op(vec![put_op("a")], vec![]), put_op("a")]));
    assert!(duplicate(vec![txn_op(vec![put_op("a")], vec![]), txn_op(vec![], vec![put_op("a")])]));
    assert!(duplicate(vec![txn_op(vec![delete_op("a", "b")], vec![]), put_op("a")]));
    assert!(duplicate(vec![txn_op(vec![], vec![put_op("a")]), delete_op("a", "")]));
}

#[test]
fn a_transaction_reads_only_when_no_branch_writes_at_any_depth() {
    let read = op(Request::RequestRange(RangeRequest { key: "a".into(), ..Default::default() }));
    let with = |failure| TxnRequest { success: vec![read.clone()], failure, ..Default::default() };
    assert!(txn_is_read_only(&with(vec![])));
    assert!(txn_is_read_only(&with(vec![txn_op(vec![read.clone()], vec![])])));
    assert!(!txn_is_read_only(&with(vec![delete_op("a", "")])));
    assert!(!txn_is_read_only(&with(vec![txn_op(vec![], vec![put_op("a")])])));
}

proptest! {
    #[test]
    fn merged_intervals_contain_what_any_of_them_contains(
        ranges in prop::collection::vec(("[ab\\x00]{1,3}", "[ab\\x00]{0,3}"), 0..12),
        keys in prop::collection::vec("[ab\\x00]{1,4}", 1..20),
    ) {
        let mut merged = Intervals::default();
        for (key, end) in &ranges {
            merged.insert(key.as_bytes(), end.as_bytes());
        }
        for key in &keys {
            let expected = ranges.iter().any(|(start, end)| match end.as_str() {
                "" => key == start,
                "\0" => key >= start,
                end => key >= start && key.as_str() < end,
            });
            prop_assert_eq!(merged.contains(key.as_bytes()), expected, "key {:?}", key);
        }
    }
}

/// Most operations of all branches together: nested transactions share what their parent leaves over, each branch for itself.
fn operations_in(request: &TxnRequest) -> usize {
    let nested = request.success.iter().chain(&request.failure).map(|op| match &op.request {
        Some(Request::RequestTxn(nested)) => operations_in(nested),
        _ => 0,
    });
    request.success.len().max(request.failure.len()) + nested.max().unwrap_or(0)
}

#[test]
fn a_transaction_of_any_bytes_is_refused_or_within_its_bounds() {
    let nested = TxnRequest {
        compare: vec![Compare { key: "a".into(), ..Default::default() }],
        success: vec![put_op("a"), txn_op(vec![put_op("b")], vec![delete_op("c", "d")])],
        failure: vec![op(Request::RequestRange(RangeRequest { key: "a".into(), limit: 5, ..Default::default() }))],
    };
    let reads = TxnRequest { success: nested.failure.clone(), ..Default::default() };
    let seeds = vec![nested.encode_to_vec(), reads.encode_to_vec()];
    fuzz!(keelson_fuzzing::Bytes::new(seeds, &[&reads.encode_to_vec(), b"\x12\x00", b"\x1a\x00"]), |bytes| {
        let Ok(request) = TxnRequest::decode(&bytes[..]) else { return false };
        if txn(&request, TXN_OPS_MAX).is_err() {
            return false;
        }
        assert!(operations_in(&request) <= TXN_OPS_MAX);
        assert!(!(txn_is_read_only(&request) && txn_may_put(&request)));
        let again = TxnRequest::decode(&request.encode_to_vec()[..]).expect("is one");
        txn(&again, TXN_OPS_MAX).expect("is as good as it was");
        true
    });
}
