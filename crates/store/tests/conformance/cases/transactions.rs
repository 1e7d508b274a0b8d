//! Txn.

use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use crate::run::{Run, put, range};

const RESULTS: [CompareResult; 4] =
    [CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual];

fn compare(key: &str, target: CompareTarget, result: CompareResult, union: TargetUnion) -> Compare {
    Compare {
        key: key.to_owned().into(),
        target: target.into(),
        result: result.into(),
        target_union: Some(union),
        ..Compare::default()
    }
}

fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put_op(key: &str, value: &str) -> RequestOp {
    op(Op::RequestPut(put(key, value)))
}

fn get_op(key: &str, range_end: &str) -> RequestOp {
    op(Op::RequestRange(range(key, range_end)))
}

fn delete_op(key: &str, range_end: &str) -> RequestOp {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    op(Op::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: true }))
}

fn txn_op(request: TxnRequest) -> RequestOp {
    op(Op::RequestTxn(request))
}

fn then(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..TxnRequest::default() }
}

/// A comparison of each target with less than what is there, with just that, and with more.
pub async fn comparisons(run: &mut Run) {
    run.group("compare").await;
    let lease = 71_001;
    run.lease.lease_grant(LeaseGrantRequest { id: lease, ttl: 600 }).await.expect("a lease");
    run.put("c/a", "0").await;
    run.put("c/b", "x").await;
    run.kv.put(PutRequest { lease, ..put("c/a", "m") }).await.expect("a put");
    let base = run.base;
    let numbers = [
        (CompareTarget::Version, 2, TargetUnion::Version as fn(i64) -> TargetUnion),
        (CompareTarget::Create, base + 1, TargetUnion::CreateRevision),
        (CompareTarget::Mod, base + 3, TargetUnion::ModRevision),
        (CompareTarget::Lease, lease, TargetUnion::Lease),
    ];
    let mut cases = Vec::new();
    for result in RESULTS {
        for (target, value, union) in numbers {
            for (name, value) in [("less", value - 1), ("the same", value), ("more", value + 1)] {
                cases.push((format!("{target:?} {result:?} {name}"), compare("c/a", target, result, union(value))));
            }
            cases.push((format!("{target:?} {result:?} of a missing key"), compare("c/z", target, result, union(0))));
        }
        for (name, value) in [("less", "a"), ("the same", "m"), ("more", "z")] {
            let union = TargetUnion::Value(value.into());
            cases.push((format!("Value {result:?} {name}"), compare("c/a", CompareTarget::Value, result, union)));
        }
        let union = TargetUnion::Value("".into());
        cases.push((format!("Value {result:?} of a missing key"), compare("c/z", CompareTarget::Value, result, union)));
        let all = Compare {
            range_end: "c0".into(),
            ..compare("c/", CompareTarget::Version, result, TargetUnion::Version(1))
        };
        cases.push((format!("Version {result:?} of all keys of a range"), all));
        let none = Compare {
            range_end: "c/z0".into(),
            ..compare("c/z", CompareTarget::Version, result, TargetUnion::Version(1))
        };
        cases.push((format!("Version {result:?} of no key of a range"), none));
    }
    let unset = Compare {
        target_union: None,
        ..compare("c/a", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(0))
    };
    cases.push(("nothing to compare with".to_owned(), unset));
    let other = compare("c/a", CompareTarget::Version, CompareResult::Equal, TargetUnion::ModRevision(2));
    cases.push(("with another field".to_owned(), other));
    cases.push((
        "no key".to_owned(),
        compare("", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(0)),
    ));
    for (name, compare) in cases {
        let request = TxnRequest { compare: vec![compare], ..TxnRequest::default() };
        let answer = run.kv.txn(request).await;
        run.case(name, answer);
    }
    let two = |second: i64| TxnRequest {
        compare: vec![
            compare("c/a", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(2)),
            compare("c/b", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(second)),
        ],
        success: vec![get_op("c/a", "")],
        failure: vec![get_op("c/b", "")],
    };
    for (name, second) in [("both hold", 1), ("one of two holds", 2)] {
        let answer = run.kv.txn(two(second)).await;
        run.case(name, answer);
    }
}

pub async fn operations(run: &mut Run) {
    run.group("txn").await;
    run.put("t/a", "1").await;
    let base = run.base;
    let never = vec![compare("t/a", CompareTarget::Version, CompareResult::Greater, TargetUnion::Version(1000))];
    let old = RangeRequest { revision: base + 1, ..range("t/", "t0") };
    let limited = RangeRequest { limit: 1, ..range("t/", "t0") };
    let cases = [
        ("nothing", TxnRequest::default()),
        ("a read", then(vec![get_op("t/a", "")])),
        ("a put", then(vec![put_op("t/b", "1")])),
        ("several puts", then(vec![put_op("t/c", "1"), put_op("t/d", "1"), put_op("t/a", "2")])),
        ("a read after a put sees it", then(vec![put_op("t/a", "3"), get_op("t/a", ""), get_op("t/", "t0")])),
        ("a read before a put does not", then(vec![get_op("t/a", ""), put_op("t/a", "4")])),
        ("a deletion", then(vec![delete_op("t/d", "")])),
        ("a deletion of nothing", then(vec![delete_op("t/none", "")])),
        ("a deletion and a read", then(vec![delete_op("t/c", ""), get_op("t/", "t0")])),
        ("a read of an old revision", then(vec![op(Op::RequestRange(old.clone()))])),
        ("a read of an old revision after a put", then(vec![put_op("t/a", "5"), op(Op::RequestRange(old))])),
        ("a limited read", then(vec![op(Op::RequestRange(limited))])),
        (
            "failure is taken",
            TxnRequest {
                compare: never.clone(),
                success: vec![put_op("t/a", "no")],
                failure: vec![put_op("t/a", "6")],
            },
        ),
        (
            "failure is empty",
            TxnRequest { compare: never.clone(), success: vec![put_op("t/a", "no")], failure: vec![] },
        ),
        ("nested", then(vec![put_op("t/n", "1"), txn_op(then(vec![put_op("t/m", "1"), get_op("t/n", "")]))])),
        (
            "nested, with a comparison of what was just put",
            then(vec![
                put_op("t/v", "1"),
                txn_op(TxnRequest {
                    compare: vec![compare(
                        "t/v",
                        CompareTarget::Version,
                        CompareResult::Equal,
                        TargetUnion::Version(1),
                    )],
                    success: vec![get_op("t/v", "")],
                    failure: vec![get_op("t/a", "")],
                }),
            ]),
        ),
        (
            "nested twice",
            then(vec![txn_op(then(vec![txn_op(then(vec![put_op("t/deep", "1"), get_op("t/deep", "")]))]))]),
        ),
        (
            "the same key in both branches",
            TxnRequest { compare: never, success: vec![put_op("t/a", "7")], failure: vec![put_op("t/a", "8")] },
        ),
    ];
    for (name, request) in cases {
        let answer = run.kv.txn(request).await;
        run.case(name, answer);
    }
    let answer = run.kv.range(range("t/", "t0")).await;
    run.case("what is left", answer);
}

pub async fn refusals(run: &mut Run) {
    run.group("txn refused").await;
    let base = run.base;
    run.put("u/a", "1").await;
    let puts = |count: usize| (0..count).map(|i| put_op(&format!("u/many/{i}"), "")).collect::<Vec<_>>();
    let compares = |count: usize| {
        let one = compare("u/a", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(1));
        vec![one; count]
    };
    let future = RangeRequest { revision: base + 1_000_000, ..range("u/a", "") };
    let cases = [
        ("a key twice", then(vec![put_op("u/a", "2"), put_op("u/a", "3")])),
        ("a put and a deletion of a key", then(vec![put_op("u/a", "2"), delete_op("u/a", "")])),
        ("a put within a deleted range", then(vec![delete_op("u/", "u0"), put_op("u/a", "2")])),
        ("two deletions of a key", then(vec![delete_op("u/none", ""), delete_op("u/none", "")])),
        ("a key twice, nested", then(vec![put_op("u/a", "2"), txn_op(then(vec![put_op("u/a", "3")]))])),
        (
            "a key twice, in two nested",
            then(vec![txn_op(then(vec![put_op("u/a", "2")])), txn_op(then(vec![put_op("u/a", "3")]))]),
        ),
        (
            "a key in both branches of a nested one",
            then(vec![txn_op(TxnRequest {
                success: vec![put_op("u/b", "2")],
                failure: vec![put_op("u/b", "3")],
                ..TxnRequest::default()
            })]),
        ),
        ("128 operations", then(puts(128))),
        ("129 operations", then(puts(129))),
        ("129 in failure", TxnRequest { failure: puts(129), ..TxnRequest::default() }),
        ("129 comparisons", TxnRequest { compare: compares(129), ..TxnRequest::default() }),
        ("128 comparisons", TxnRequest { compare: compares(128), ..TxnRequest::default() }),
        ("127 nested in one", then(vec![txn_op(then(puts(127)))])),
        ("128 nested in one", then(vec![txn_op(then(puts(128)))])),
        ("an empty operation", then(vec![RequestOp { request: None }])),
        ("a read without a key", then(vec![get_op("", "")])),
        ("a put without a key", then(vec![put_op("", "")])),
        ("a deletion without a key", then(vec![delete_op("", "")])),
        ("a put of an unknown lease", then(vec![op(Op::RequestPut(PutRequest { lease: 71_099, ..put("u/a", "2") }))])),
        (
            "a put of an unknown lease after another put",
            then(vec![put_op("u/c", ""), op(Op::RequestPut(PutRequest { lease: 71_099, ..put("u/a", "2") }))]),
        ),
        (
            "the value of a missing key ignored",
            then(vec![op(Op::RequestPut(PutRequest { ignore_value: true, ..put("u/none", "") }))]),
        ),
        (
            "the value ignored and given",
            then(vec![op(Op::RequestPut(PutRequest { ignore_value: true, ..put("u/a", "2") }))]),
        ),
        ("a read of a future revision", then(vec![op(Op::RequestRange(future.clone()))])),
        ("a read of a future revision after a put", then(vec![put_op("u/d", "1"), op(Op::RequestRange(future))])),
        ("an unknown order", then(vec![op(Op::RequestRange(RangeRequest { sort_order: 9, ..range("u/a", "") }))])),
    ];
    for (name, request) in cases {
        let answer = run.kv.txn(request).await;
        // Of many answers, their number tells enough.
        match answer {
            Ok(response) if response.get_ref().responses.len() > 100 => {
                run.note(name, format!("{} responses", response.get_ref().responses.len()));
            }
            answer => run.case(name, answer),
        }
    }
    let answer = run.kv.range(range("u/", "u/m")).await;
    run.case("what is left", answer);
}
