//! What is too large or too much is refused as etcd and gRPC refuse it.

use keelson_proto::etcdserverpb::{DeleteRangeRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest};
use tonic::Code;

use crate::cluster::Cluster;
use crate::kv::{put_request, range_request};
use crate::{PATIENCE, eventually, refusal};

/// Far more than may wait by the test's bounds, with all batches that may be under way.
const WRITES: usize = 64;

#[tokio::test]
async fn writes_that_find_the_queue_full_are_refused_and_the_others_are_not() {
    for by_bytes in [false, true] {
        let mut cluster = Cluster::start_with(false, move |options| {
            if by_bytes {
                options.queued_bytes_max = 8 << 10;
            } else {
                options.queued_writes_max = 2;
            }
        });
        let kv = cluster.kv(0).await;
        let put = |i: usize| PutRequest { value: vec![0; 1 << 10].into(), ..put_request(&format!("queue/{i}"), "") };
        kv.clone().put(put(0)).await.expect("there is a leader");
        cluster.stop_others().await;
        let web = crate::web::Web::new(cluster.members[0].address);
        eventually("the loss of the leader", || async {
            web.get("/health").await.1.contains("RAFT NO LEADER").then_some(())
        })
        .await;
        // Nothing leaves the queue without a leader.
        let puts = (0..WRITES).map(|i| {
            let mut kv = kv.clone();
            async move { refusal(kv.put(put(i)).await) }
        });
        let outcomes = futures::future::join_all(puts).await;
        let full = (Code::ResourceExhausted, "etcdserver: too many requests".to_owned());
        let refused = outcomes.iter().filter(|outcome| **outcome == full).count();
        assert!(refused > 0 && refused < WRITES, "{refused} of {WRITES} were refused: {outcomes:?}");
        assert!(outcomes.iter().all(|outcome| *outcome == full || outcome.0 == Code::Unavailable), "{outcomes:?}");
    }
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_by_the_store_and_further_above_by_grpc() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let put = |bytes: usize| PutRequest { value: vec![0; bytes].into(), ..put_request("limits/put", "") };
    let limit = 3 << 19;
    kv.put(put(limit - 100)).await.expect("just below the limit");
    let too_large = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    assert_eq!(refusal(kv.put(put(limit)).await), too_large);
    assert_eq!(refusal(kv.put(put(limit + (512 << 10) - 100)).await), too_large);
    let delete = DeleteRangeRequest { key: vec![1; limit + 1].into(), ..Default::default() };
    assert_eq!(refusal(kv.delete_range(delete).await), too_large);

    let grpc = limit + (512 << 10);
    let message = |bytes: usize| format!("grpc: received message larger than max ({bytes} vs. {grpc})");
    let beyond = prost::Message::encoded_len(&put(grpc));
    assert_eq!(refusal(kv.put(put(grpc)).await), (Code::ResourceExhausted, message(beyond)));
    let large = RangeRequest { key: vec![1; grpc].into(), ..range_request("", "") };
    let beyond = prost::Message::encoded_len(&large);
    assert_eq!(refusal(kv.range(large).await), (Code::ResourceExhausted, message(beyond)));
    // The connection goes on.
    kv.put(put(1)).await.expect("a put");
}

#[tokio::test]
async fn streams_too_say_in_grpcs_words_that_a_message_is_too_large() {
    let cluster = Cluster::start_with(false, |options| {
        // So that a message of numbers alone is above it.
        options.etcd.request_bytes_max = 0;
    });
    let create =
        keelson_proto::etcdserverpb::WatchCreateRequest { key: vec![1; 600 << 10].into(), ..Default::default() };
    let request = keelson_proto::etcdserverpb::WatchRequest {
        request_union: Some(keelson_proto::etcdserverpb::watch_request::RequestUnion::CreateRequest(create)),
    };
    let mut stream = cluster.watch(0).await.watch(tokio_stream::iter([request])).await.expect("a stream").into_inner();
    let (code, message) = refusal(stream.message().await);
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.starts_with("grpc: received message larger than max ("), "{message}");
    let renewals = tokio_stream::iter([LeaseKeepAliveRequest { id: 1 }]);
    let mut renewals = cluster.lease(0).await.lease_keep_alive(renewals).await.expect("a stream").into_inner();
    assert_eq!(renewals.message().await.expect("small ones pass").expect("an answer").ttl, 0);
}

#[tokio::test]
async fn more_streams_than_allowed_on_a_connection_wait_for_their_turn() {
    let cluster = Cluster::start_with(false, |options| options.etcd.streams_max = 2);
    let channel = cluster.channel(0).await;
    let watch = || {
        let mut client = keelson_proto::etcdserverpb::watch_client::WatchClient::new(channel.clone());
        let (requests, receiver) = tokio::sync::mpsc::channel(1);
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        async move { (requests, client.watch(receiver).await.expect("a stream").into_inner()) }
    };
    let first = watch().await;
    let _second = watch().await;
    let mut kv = keelson_proto::etcdserverpb::kv_client::KvClient::new(channel.clone());
    let third = tokio::spawn(async move { kv.range(range_request("limits/streams", "")).await.map(|_| ()) });
    // Another connection has its own.
    cluster.kv(0).await.range(range_request("limits/streams", "")).await.expect("a range");
    assert!(!third.is_finished());
    drop(first);
    let third = tokio::time::timeout(PATIENCE, third).await.expect("it ends in time");
    third.expect("no panic").expect("its turn has come");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let cluster = Cluster::start_with(false, |options| options.etcd.connections_max = 1);
    let mut first = cluster.kv(0).await;
    first.range(range_request("limits/connections", "")).await.expect("a range");
    let mut second = cluster.kv(0).await;
    let waiting = tokio::spawn(async move { second.range(range_request("limits/connections", "")).await.map(|_| ()) });
    first.range(range_request("limits/connections", "")).await.expect("those inside are served");
    assert!(!waiting.is_finished());
    drop(first);
    waiting.await.expect("no panic").expect("its turn has come");
}
