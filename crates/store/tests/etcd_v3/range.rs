//! Ranges of every size: as one message, in a stream of parts, and within the bound of memory.

use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{CompactionRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use crate::cluster::Cluster;
use crate::kv::{put, put_request, range_request};
use crate::{PATIENCE, refusal};

type Kv = KvClient<Channel>;
type Parts = Streaming<keelson_proto::etcdserverpb::RangeStreamResponse>;

/// Puts `count` keys with values of so many bytes, and answers the last revision.
pub async fn fill(kv: &mut Kv, prefix: &str, count: usize, value_bytes: usize) -> i64 {
    let keys: Vec<String> = (0..count).map(|i| format!("{prefix}{i:06}")).collect();
    let mut revision = 0;
    for keys in keys.chunks(((1 << 20) / (value_bytes + 100)).clamp(1, 128)) {
        let put = |key: &String| put_request(key, &key.repeat(value_bytes / key.len() + 1)[..value_bytes]);
        let success = keys.iter().map(|key| RequestOp { request: Some(Op::RequestPut(put(key))) }).collect();
        let response = kv.txn(TxnRequest { success, ..Default::default() }).await.expect("a transaction");
        revision = response.into_inner().header.expect("a header").revision;
    }
    revision
}

fn all(prefix: &str) -> RangeRequest {
    range_request(prefix, &format!("{}0", prefix.strip_suffix('/').expect("prefixes end so")))
}

async fn part(parts: &mut Parts) -> Option<RangeResponse> {
    let part = tokio::time::timeout(PATIENCE, parts.message()).await.expect("a part in time").expect("no error");
    part.map(|part| part.range_response.expect("every part has a response"))
}

/// Puts parts together as protobuf merges messages, and counts them.
async fn merge(mut parts: Parts) -> (RangeResponse, usize) {
    let mut whole = RangeResponse::default();
    let mut count = 0;
    while let Some(part) = part(&mut parts).await {
        assert_eq!((&whole.header, whole.count, whole.more), (&None, 0, false), "only the last part has these");
        assert!(count == 0 || part.header.is_some() || !part.kvs.is_empty(), "no part is empty");
        count += 1;
        whole.kvs.extend(part.kvs);
        (whole.header, whole.count, whole.more) = (part.header, part.count, part.more);
    }
    (whole, count)
}

/// A client that takes nothing from the network unless it is asked for more.
async fn narrow(cluster: &Cluster) -> Kv {
    let endpoint = Endpoint::from_shared(format!("http://{}", cluster.members[0].address)).expect("a good address");
    let endpoint = endpoint.initial_stream_window_size(64 << 10).initial_connection_window_size(64 << 10);
    KvClient::new(endpoint.connect().await.expect("the member listens")).max_decoding_message_size(usize::MAX)
}

#[tokio::test]
async fn the_parts_of_a_stream_merge_to_the_answer_of_a_range() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(1).await;
    let filled = fill(&mut kv, "range/merge/", 3000, 1500).await;
    for i in (0..3000).step_by(7) {
        put(&mut kv, &format!("range/merge/{i:06}"), "").await;
    }
    let base = all("range/merge/");
    let cases = [
        (base.clone(), 4..100),
        (RangeRequest { limit: 1000, ..base.clone() }, 2..100),
        (RangeRequest { limit: 1, ..base.clone() }, 1..2),
        (RangeRequest { limit: 3000, ..base.clone() }, 4..100),
        (RangeRequest { keys_only: true, ..base.clone() }, 2..100),
        (RangeRequest { count_only: true, ..base.clone() }, 1..2),
        (RangeRequest { revision: filled, ..base.clone() }, 4..100),
        (RangeRequest { serializable: true, revision: filled, limit: 2500, ..base.clone() }, 4..100),
        (RangeRequest { sort_order: SortOrder::Ascend.into(), ..base.clone() }, 4..100),
        (range_request("range/merge/000001", ""), 1..2),
        (range_request("range/merge/nothing", ""), 1..2),
    ];
    for (request, parts) in cases {
        let whole = kv.range(request.clone()).await.expect("a range").into_inner();
        let streamed = kv.range_stream(request.clone()).await.expect("a stream").into_inner();
        let (merged, count) = merge(streamed).await;
        assert!(parts.contains(&count), "{count} parts of {request:?}");
        assert!(merged.header.expect("a header").revision > 0);
        assert_eq!(merged.kvs.len(), whole.kvs.len());
        assert!(merged.kvs == whole.kvs, "{request:?}");
        assert_eq!((merged.count, merged.more), (whole.count, whole.more));
    }
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused_in_etcds_words() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let orders = (Code::Unimplemented, "RangeStream does not support custom sort orders".to_owned());
    let filters = (Code::Unimplemented, "RangeStream does not support revision filters".to_owned());
    let base = range_request("a", "b");
    let cases = [
        (RangeRequest::default(), (Code::InvalidArgument, "etcdserver: key is not provided".to_owned())),
        (
            RangeRequest { sort_order: 9, ..base.clone() },
            (Code::InvalidArgument, "etcdserver: invalid sort option".to_owned()),
        ),
        (RangeRequest { sort_order: SortOrder::Descend.into(), min_mod_revision: 1, ..base.clone() }, orders.clone()),
        (
            RangeRequest {
                sort_order: SortOrder::Ascend.into(),
                sort_target: SortTarget::Value.into(),
                ..base.clone()
            },
            orders,
        ),
        (RangeRequest { min_mod_revision: 1, ..base.clone() }, filters.clone()),
        (RangeRequest { max_mod_revision: 1, ..base.clone() }, filters.clone()),
        (RangeRequest { min_create_revision: 1, ..base.clone() }, filters.clone()),
        (RangeRequest { max_create_revision: 1, ..base.clone() }, filters),
        (
            RangeRequest { revision: 1 << 40, ..base.clone() },
            (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision".to_owned()),
        ),
    ];
    for (request, expected) in cases {
        let refused = match kv.range_stream(request.clone()).await {
            Ok(stream) => refusal(stream.into_inner().message().await),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        assert_eq!(refused, expected, "{request:?}");
    }
}

#[tokio::test]
async fn a_stream_and_a_large_range_keep_their_revision_through_writes_and_a_compaction() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    fill(&mut kv, "pinned/", 6000, 3000).await;
    let whole = kv.range(all("pinned/")).await.expect("a range").into_inner();
    assert_eq!((whole.count, whole.kvs.len(), whole.more), (6000, 6000, false));

    let mut slow = narrow(&cluster).await;
    let mut parts = slow.range_stream(all("pinned/")).await.expect("a stream").into_inner();
    let mut kvs = part(&mut parts).await.expect("a first part").kvs;
    let revision = fill(&mut kv, "pinned/", 6000, 10).await;
    kv.compact(CompactionRequest { revision, physical: true }).await.expect("a compaction");
    let last = loop {
        let next = part(&mut parts).await.expect("the last part has a header");
        kvs.extend(next.kvs.iter().cloned());
        if next.header.is_some() {
            break next;
        }
    };
    assert!(part(&mut parts).await.is_none());
    assert!(kvs == whole.kvs, "{} pairs", kvs.len());
    assert_eq!((last.count, last.more), (6000, false));
    assert_eq!(last.header.expect("a header").revision, whole.header.expect("a header").revision);
}

#[tokio::test]
async fn large_ranges_are_whole_in_every_order_and_with_every_limit() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    // More than what one answer holds.
    fill(&mut kv, "large/", 4000, 3000).await;
    let whole = kv.range(all("large/")).await.expect("a range").into_inner();
    assert_eq!((whole.count, whole.kvs.len(), whole.more), (4000, 4000, false));
    assert!(whole.kvs.is_sorted_by(|a, b| a.key < b.key));
    for limit in [3000, 3999, 4000] {
        let limited = kv.range(RangeRequest { limit, ..all("large/") }).await.expect("a range").into_inner();
        assert_eq!((limited.count, limited.more), (4000, limit < 4000));
        assert!(limited.kvs == whole.kvs[..limited.kvs.len()] && limited.kvs.len() == limit as usize);
    }
    let descending = RangeRequest { sort_order: SortOrder::Descend.into(), ..all("large/") };
    let mut descending = kv.range(descending).await.expect("a range").into_inner();
    descending.kvs.reverse();
    assert!(descending == RangeResponse { header: descending.header, ..whole });
}

#[tokio::test]
async fn lists_that_nobody_reads_are_bounded_in_memory_and_in_time() {
    let cluster = Cluster::start_with(false, |options| {
        options.etcd.lists_bytes_max = 6 << 20;
        options.etcd.list_wait = Duration::from_millis(50);
        // None may be given up before the bound is reached, however busy the machine is.
        options.etcd.list_stall = Duration::from_secs(8);
    });
    let mut kv = cluster.kv(0).await;
    fill(&mut kv, "bounded/", 4000, 3000).await;
    let mut slow = Vec::new();
    // Each is accepted, and then not read, as long as there is room.
    let refused = loop {
        let mut client = narrow(&cluster).await;
        match client.range_stream(all("bounded/")).await {
            Ok(stream) => slow.push((client, stream.into_inner())),
            Err(status) => break status,
        }
        assert!(slow.len() < 10, "the bound was never reached");
    };
    assert!(!slow.is_empty());
    let expected = (Code::ResourceExhausted, "etcdserver: too many requests".to_owned());
    assert_eq!((refused.code(), refused.message().to_owned()), expected);
    // A list that is larger than the budget and in another order cannot be served at all.
    let sorted = RangeRequest { sort_order: SortOrder::Descend.into(), ..all("bounded/") };
    assert_eq!(refusal(kv.range(sorted).await), expected);
    // Small answers need no room.
    let small = kv.range(RangeRequest { limit: 10, ..all("bounded/") }).await.expect("a range").into_inner();
    assert_eq!((small.kvs.len(), small.count), (10, 4000));
    // Those who do not read are given up, and the others are served again.
    let whole = crate::eventually("room", || async { kv.clone().range(all("bounded/")).await.ok() }).await;
    assert_eq!(whole.into_inner().kvs.len(), 4000);
    let mut given_up = 0;
    for (_client, mut stream) in slow {
        let mut complete = false;
        loop {
            match tokio::time::timeout(PATIENCE, stream.message()).await.expect("an answer in time") {
                Ok(Some(part)) => complete = part.range_response.is_some_and(|part| part.header.is_some()),
                // One that was not given up yet.
                Ok(None) if complete => break,
                Ok(None) => panic!("a stream that was given up must not look complete"),
                Err(status) => {
                    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
                    given_up += 1;
                    break;
                }
            }
        }
    }
    assert!(given_up > 0);
}

#[tokio::test]
async fn a_value_of_any_size_is_one_part() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    for i in 0..3 {
        kv.put(keelson_proto::etcdserverpb::PutRequest {
            value: value.clone(),
            ..put_request(&format!("range/one/{i}"), "")
        })
        .await
        .expect("a put");
    }
    let (merged, parts) = merge(kv.range_stream(all("range/one/")).await.expect("a stream").into_inner()).await;
    assert_eq!((parts, merged.kvs.len(), merged.count), (3, 3, 3));
    assert!(merged.kvs.iter().all(|pair| pair.value == value));
    let whole = kv.range(all("range/one/")).await.expect("a range").into_inner();
    assert!(whole.kvs == merged.kvs);
}
