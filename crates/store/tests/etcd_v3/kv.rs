//! KV: ranges with every option, puts, deletions, transactions, compaction, and the errors to the letter.

use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::response_op::Response as Answer;
use keelson_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use tonic::Code;
use tonic::transport::Channel;

use crate::cluster::Cluster;
use crate::refusal;

type Kv = KvClient<Channel>;

pub fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

pub fn range_request(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

/// A put inside a transaction.
pub fn put_op(key: &str, value: &str) -> RequestOp {
    op(Op::RequestPut(put_request(key, value)))
}

fn delete_request(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

/// Puts and answers the revision.
pub async fn put(kv: &mut Kv, key: &str, value: &str) -> i64 {
    let response = kv.put(put_request(key, value)).await.expect("a put").into_inner();
    response.header.expect("every answer has a header").revision
}

async fn range(kv: &mut Kv, request: RangeRequest) -> RangeResponse {
    kv.range(request).await.expect("a range").into_inner()
}

fn keys(response: &RangeResponse) -> Vec<&str> {
    response.kvs.iter().map(|kv| std::str::from_utf8(&kv.key).expect("tests use text")).collect()
}

fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn compare(key: &str, target: CompareTarget, result: CompareResult, union: TargetUnion) -> Compare {
    Compare {
        key: key.to_owned().into(),
        target: target.into(),
        result: result.into(),
        target_union: Some(union),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_key_lives_through_its_revisions_on_all_members() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let first = put(&mut kv, "kv/life/a", "1").await;
    let second = put(&mut kv, "kv/life/a", "2").await;
    assert!(second > first);
    for member in 0..3 {
        let mut kv = cluster.kv(member).await;
        let response = range(&mut kv, range_request("kv/life/a", "")).await;
        let header = response.header.expect("a header");
        assert_eq!(header.cluster_id, cluster.members[0].handle.cluster_id());
        assert_eq!(header.member_id, cluster.members[member].handle.member_id());
        assert!(header.revision >= second && header.raft_term > 0);
        let found = &response.kvs[0];
        assert_eq!((found.create_revision, found.mod_revision, found.version), (first, second, 2));
        assert_eq!((found.value.as_ref(), found.lease, response.count), (&b"2"[..], 0, 1));
    }
    let mut delete = delete_request("kv/life/a", "");
    delete.prev_kv = true;
    let deleted = kv.delete_range(delete).await.expect("a deletion").into_inner();
    assert_eq!((deleted.deleted, deleted.prev_kvs[0].value.as_ref()), (1, &b"2"[..]));
    let deleted_at = deleted.header.expect("a header").revision;
    assert!(deleted_at > second);
    let nothing = kv.delete_range(delete_request("kv/life/a", "")).await.expect("a deletion").into_inner();
    assert_eq!(nothing.deleted, 0);
    // Born again, it begins anew; the past stays readable.
    let third = put(&mut kv, "kv/life/a", "3").await;
    let now = range(&mut kv, range_request("kv/life/a", "")).await;
    assert_eq!((now.kvs[0].create_revision, now.kvs[0].version), (third, 1));
    for (revision, expected) in [(first, Some("1")), (second, Some("2")), (deleted_at, None)] {
        let past = range(&mut kv, RangeRequest { revision, ..range_request("kv/life/a", "") }).await;
        assert_eq!(past.kvs.first().map(|kv| kv.value.clone()), expected.map(|value| value.into()));
    }
}

#[tokio::test]
async fn a_range_has_every_option() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(1).await;
    let mut revisions = Vec::new();
    for (key, value) in [("b", "1"), ("a", "3"), ("c", "2"), ("a", "4")] {
        revisions.push(put(&mut kv, &format!("kv/options/{key}"), value).await);
    }
    let all = || range_request("kv/options/", "kv/options0");
    let short = |response: &RangeResponse| keys(response).join(" ").replace("kv/options/", "");

    let response = range(&mut kv, all()).await;
    assert_eq!((short(&response).as_str(), response.count, response.more), ("a b c", 3, false));
    let response = range(&mut kv, RangeRequest { limit: 2, ..all() }).await;
    assert_eq!((short(&response).as_str(), response.count, response.more), ("a b", 3, true));
    let response = range(&mut kv, RangeRequest { limit: 3, ..all() }).await;
    assert!(!response.more);
    let response = range(&mut kv, RangeRequest { keys_only: true, ..all() }).await;
    assert!(response.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 0));
    let response = range(&mut kv, RangeRequest { count_only: true, ..all() }).await;
    assert_eq!((response.kvs.len(), response.count), (0, 3));
    let response = range(&mut kv, range_request("kv/options/b", "kv/options/c")).await;
    assert_eq!(short(&response), "b");
    let response = range(&mut kv, RangeRequest { limit: 1, ..range_request("kv/options/b", "\0") }).await;
    assert_eq!(short(&response), "b");
    let response = range(&mut kv, RangeRequest { limit: 1, ..range_request("\0", "\0") }).await;
    assert!(response.count >= 3);
    let response = range(&mut kv, range_request("kv/options/c", "kv/options/a")).await;
    assert_eq!((response.kvs.len(), response.count), (0, 0));

    for (target, order, expected) in [
        (SortTarget::Key, SortOrder::Descend, "c b a"),
        (SortTarget::Value, SortOrder::Ascend, "b c a"),
        (SortTarget::Value, SortOrder::None, "b c a"),
        (SortTarget::Version, SortOrder::Descend, "a b c"),
        (SortTarget::Create, SortOrder::Ascend, "b a c"),
        (SortTarget::Create, SortOrder::Descend, "c a b"),
        (SortTarget::Mod, SortOrder::Ascend, "b c a"),
        (SortTarget::Mod, SortOrder::Descend, "a c b"),
    ] {
        let request = RangeRequest { sort_target: target.into(), sort_order: order.into(), ..all() };
        let response = range(&mut kv, request.clone()).await;
        assert_eq!(short(&response), expected, "{target:?} {order:?}");
        let first = range(&mut kv, RangeRequest { limit: 1, ..request }).await;
        assert_eq!((short(&first).as_str(), first.count), (&expected[..1], 3), "the limit applies after sorting");
    }

    for (request, expected) in [
        (RangeRequest { min_mod_revision: revisions[2], ..all() }, "a c"),
        (RangeRequest { max_mod_revision: revisions[2], ..all() }, "b c"),
        (RangeRequest { min_create_revision: revisions[1], ..all() }, "a c"),
        (RangeRequest { max_create_revision: revisions[1], ..all() }, "a b"),
    ] {
        let response = range(&mut kv, request).await;
        assert_eq!((short(&response).as_str(), response.count), (expected, 3), "the count ignores filters");
    }

    let past = range(&mut kv, RangeRequest { revision: revisions[1], ..all() }).await;
    assert_eq!(short(&past), "a b");
    assert!(past.header.expect("a header").revision >= revisions[3], "the header has the newest revision");
    let serializable = range(&mut kv, RangeRequest { serializable: true, ..all() }).await;
    assert_eq!(serializable.count, 3, "this member made these writes itself");
}

#[tokio::test]
async fn puts_can_keep_value_or_lease_and_return_what_was_there() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(2).await;
    put(&mut kv, "kv/put/a", "1").await;
    let response = kv.put(PutRequest { prev_kv: true, ..put_request("kv/put/a", "2") }).await.expect("a put");
    assert_eq!(response.into_inner().prev_kv.expect("there was one").value.as_ref(), b"1");
    kv.put(PutRequest { ignore_value: true, ..put_request("kv/put/a", "") }).await.expect("a put");
    let response = range(&mut kv, range_request("kv/put/a", "")).await;
    assert_eq!((response.kvs[0].value.as_ref(), response.kvs[0].version), (&b"2"[..], 3));

    let missing = kv.put(PutRequest { ignore_value: true, ..put_request("kv/put/none", "") }).await;
    assert_eq!(refusal(missing), (Code::InvalidArgument, "etcdserver: key not found".to_owned()));
    let missing = kv.put(PutRequest { ignore_lease: true, ..put_request("kv/put/none", "1") }).await;
    assert_eq!(refusal(missing), (Code::InvalidArgument, "etcdserver: key not found".to_owned()));
    let no_lease = kv.put(PutRequest { lease: 12345, ..put_request("kv/put/a", "3") }).await;
    assert_eq!(refusal(no_lease), (Code::NotFound, "etcdserver: requested lease not found".to_owned()));
}

#[tokio::test]
async fn bad_requests_get_etcds_words() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let invalid = |message: &str| (Code::InvalidArgument, format!("etcdserver: {message}"));
    assert_eq!(refusal(kv.range(range_request("", "")).await), invalid("key is not provided"));
    assert_eq!(refusal(kv.put(put_request("", "1")).await), invalid("key is not provided"));
    assert_eq!(refusal(kv.delete_range(delete_request("", "")).await), invalid("key is not provided"));
    let sort = RangeRequest { sort_order: 9, ..range_request("a", "") };
    assert_eq!(refusal(kv.range(sort).await), invalid("invalid sort option"));
    let value = PutRequest { ignore_value: true, ..put_request("a", "1") };
    assert_eq!(refusal(kv.put(value).await), invalid("value is provided"));
    let lease = PutRequest { ignore_lease: true, lease: 1, ..put_request("a", "1") };
    assert_eq!(refusal(kv.put(lease).await), invalid("lease is provided"));
    let future = RangeRequest { revision: i64::MAX, ..range_request("a", "") };
    assert_eq!(
        refusal(kv.range(future).await),
        (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision".to_owned())
    );
    let large = put_request("kv/bad/large", &"x".repeat((3 << 19) + 1000));
    assert_eq!(refusal(kv.put(large).await), invalid("request is too large"));

    let many = (0..129).map(|i| op(Op::RequestPut(put_request(&format!("kv/bad/{i}"), "1")))).collect();
    let many = TxnRequest { success: many, ..Default::default() };
    assert_eq!(refusal(kv.txn(many).await), invalid("too many operations in txn request"));
    let twice = vec![op(Op::RequestPut(put_request("kv/bad/a", "1"))); 2];
    let twice = TxnRequest { success: twice, ..Default::default() };
    assert_eq!(refusal(kv.txn(twice).await), invalid("duplicate key given in txn request"));
    let empty = TxnRequest { success: vec![RequestOp::default()], ..Default::default() };
    assert_eq!(refusal(kv.txn(empty).await), invalid("key not found"));
    assert_eq!(range(&mut kv, range_request("kv/bad/", "kv/bad0")).await.count, 0, "nothing was half done");
}

#[tokio::test]
async fn a_transaction_compares_first_is_one_revision_and_reads_its_own_writes() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(1).await;
    put(&mut kv, "kv/txn/a", "1").await;
    let before = put(&mut kv, "kv/txn/b", "1").await;
    let nested = TxnRequest {
        compare: vec![compare("kv/txn/c", CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(1))],
        success: vec![op(Op::RequestPut(put_request("kv/txn/nested", "yes")))],
        failure: vec![op(Op::RequestPut(put_request("kv/txn/nested", "no")))],
    };
    let request = TxnRequest {
        compare: vec![compare("kv/txn/a", CompareTarget::Value, CompareResult::Equal, TargetUnion::Value("1".into()))],
        success: vec![
            op(Op::RequestPut(put_request("kv/txn/c", "2"))),
            op(Op::RequestRange(range_request("kv/txn/", "kv/txn0"))),
            op(Op::RequestDeleteRange(delete_request("kv/txn/b", ""))),
            op(Op::RequestTxn(nested)),
        ],
        failure: vec![],
    };
    let response = kv.txn(request).await.expect("a transaction").into_inner();
    assert!(response.succeeded);
    let revision = response.header.expect("a header").revision;
    assert_eq!(response.responses.len(), 4);
    let Some(Answer::ResponseRange(seen)) = &response.responses[1].response else { panic!("not a range") };
    assert_eq!(keys(seen), ["kv/txn/a", "kv/txn/b", "kv/txn/c"]);
    let Some(Answer::ResponseTxn(nested)) = &response.responses[3].response else { panic!("not a transaction") };
    assert!(!nested.succeeded, "comparisons, nested ones included, are made before anything is written");

    let after = range(&mut kv, range_request("kv/txn/", "kv/txn0")).await;
    assert_eq!(keys(&after), ["kv/txn/a", "kv/txn/c", "kv/txn/nested"]);
    assert!(revision > before);
    assert!(after.kvs[1..].iter().all(|kv| kv.mod_revision == revision));
    assert_eq!(after.kvs[2].value.as_ref(), b"no");
}

#[tokio::test]
async fn comparisons_know_each_target_and_absent_keys() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(2).await;
    let created = put(&mut kv, "kv/compare/a", "m").await;
    let modified = put(&mut kv, "kv/compare/a", "m").await;
    put(&mut kv, "kv/compare/b", "z").await;
    use CompareResult::{Equal, Greater, Less, NotEqual};
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    let key = "kv/compare/a";
    let absent = "kv/compare/absent";
    let mut all_keys = compare(key, Version, Greater, TargetUnion::Version(0));
    all_keys.range_end = "kv/compare/c".into();
    let mut not_all_keys = compare(key, Value, Equal, TargetUnion::Value("m".into()));
    not_all_keys.range_end = "kv/compare/c".into();
    for (comparison, expected) in [
        (compare(key, Version, Equal, TargetUnion::Version(2)), true),
        (compare(key, Version, Greater, TargetUnion::Version(2)), false),
        (compare(key, Create, Equal, TargetUnion::CreateRevision(created)), true),
        (compare(key, Mod, Less, TargetUnion::ModRevision(modified + 1)), true),
        (compare(key, Mod, NotEqual, TargetUnion::ModRevision(modified)), false),
        (compare(key, Value, Greater, TargetUnion::Value("a".into())), true),
        (compare(key, Lease, Equal, TargetUnion::Lease(0)), true),
        (compare(absent, Version, Equal, TargetUnion::Version(0)), true),
        (compare(absent, Create, Equal, TargetUnion::CreateRevision(0)), true),
        (compare(absent, Mod, Equal, TargetUnion::ModRevision(0)), true),
        (compare(absent, Value, NotEqual, TargetUnion::Value("a".into())), false),
        (all_keys, true),
        (not_all_keys, false),
    ] {
        let request = TxnRequest { compare: vec![comparison.clone()], ..Default::default() };
        let response = kv.txn(request).await.expect("a transaction").into_inner();
        assert_eq!(response.succeeded, expected, "{comparison:?}");
    }
}

#[tokio::test]
async fn a_transaction_that_only_reads_makes_no_revision() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let before = put(&mut kv, "kv/read/a", "1").await;
    let request =
        TxnRequest { success: vec![op(Op::RequestRange(range_request("kv/read/a", "")))], ..Default::default() };
    let response = kv.txn(request).await.expect("a transaction").into_inner();
    assert_eq!(response.header.expect("a header").revision, before);
    let nothing =
        TxnRequest { success: vec![op(Op::RequestDeleteRange(delete_request("none", "")))], ..Default::default() };
    let response = kv.txn(nothing).await.expect("a transaction").into_inner();
    assert_eq!(response.header.expect("a header").revision, before);
    assert_eq!(put(&mut kv, "kv/read/a", "2").await, before + 1);
}

#[tokio::test]
async fn what_is_compacted_is_gone_and_the_latest_stays() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let first = put(&mut kv, "a", "1").await;
    let second = put(&mut kv, "a", "2").await;
    let third = put(&mut kv, "b", "1").await;
    let physical = CompactionRequest { revision: second, physical: true };
    kv.compact(physical).await.expect("a compaction");
    let compacted = (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned());
    for member in 0..3 {
        let mut kv = cluster.kv(member).await;
        // Only after a linearizable read has this member surely applied the compaction.
        assert_eq!(range(&mut kv, range_request("a", "c")).await.count, 2);
        assert_eq!(refusal(kv.range(RangeRequest { revision: first, ..range_request("a", "") }).await), compacted);
        let kept = range(&mut kv, RangeRequest { revision: second, ..range_request("a", "") }).await;
        assert_eq!(kept.kvs[0].value.as_ref(), b"2");
    }
    let again = CompactionRequest { revision: second, physical: false };
    assert_eq!(refusal(kv.compact(again).await), compacted);
    let future = CompactionRequest { revision: third + 1000, physical: false };
    assert_eq!(
        refusal(kv.compact(future).await),
        (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision".to_owned())
    );
}

#[tokio::test]
async fn a_thousand_concurrent_puts_on_all_members_are_all_there() {
    let cluster = Cluster::shared();
    let mut tasks = tokio::task::JoinSet::new();
    for member in 0..3 {
        let kv = cluster.kv(member).await;
        for i in 0..334 {
            let mut kv = kv.clone();
            tasks.spawn(async move { put(&mut kv, &format!("kv/many/{member}/{i}"), "1").await });
        }
    }
    let mut revisions = tasks.join_all().await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 1002, "each put has a revision of its own");
    let mut kv = cluster.kv(0).await;
    assert_eq!(range(&mut kv, range_request("kv/many/", "kv/many0")).await.count, 1002);
}

#[tokio::test]
async fn a_client_whose_version_is_no_text_is_refused() {
    let cluster = Cluster::shared();
    let ask = async |version: &[u8]| {
        let mut request = tonic::Request::new(range_request("kv/version", ""));
        request.metadata_mut().insert("client-api-version", version.try_into().expect("a value"));
        cluster.kv(0).await.range(request).await
    };
    ask(b"3.6").await.expect("a range");
    let refused = (Code::InvalidArgument, "etcdserver: invalid client api version".to_owned());
    assert_eq!(refusal(ask(b"3.6\xff").await), refused);
}
