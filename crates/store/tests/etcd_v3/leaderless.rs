//! What a client is told that requires a leader while there is none.

use keelson_proto::etcdserverpb::{LeaseKeepAliveRequest, RangeRequest, StatusRequest};
use keelson_proto::v3lockpb::LockRequest;
use tonic::{Code, Request};

use crate::cluster::Cluster;
use crate::kv::{put, range_request};
use crate::lock::lease;
use crate::watch_stream::{WatchStream, watch};
use crate::{PATIENCE, eventually, refusal};

fn requiring<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().expect("ASCII"));
    request
}

#[tokio::test]
async fn requests_and_streams_that_require_a_leader_end_without_one_and_others_go_on() {
    let mut cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    put(&mut kv, "a", "1").await;
    let local = RangeRequest { serializable: true, ..range_request("a", "") };
    eventually("a leader that answers", || {
        let (mut kv, local) = (kv.clone(), local.clone());
        async move { kv.range(requiring(local)).await.ok() }
    })
    .await;
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let renewals = cluster.lease(0).await.lease_keep_alive(requiring(receiver)).await;
    let mut renewals = renewals.expect("a stream").into_inner();
    let mut strict = WatchStream::open_requiring_leader(cluster.watch(0).await);
    strict.created(watch("a", "")).await;
    let mut patient = WatchStream::open(cluster.watch(0).await);
    patient.created(watch("a", "")).await;
    let held = lease(&cluster, 600).await;
    cluster.lock(0).await.lock(LockRequest { name: "l".into(), lease: held }).await.expect("the lock");
    let (waits, mut client) = (lease(&cluster, 600).await, cluster.lock(0).await);
    let waiting =
        tokio::spawn(async move { client.lock(requiring(LockRequest { name: "l".into(), lease: waits })).await });
    crate::lock::queued(&cluster, "l", 2).await;

    cluster.stop_others().await;
    let no_leader = (Code::Unavailable, "etcdserver: no leader".to_owned());
    let refused = eventually("a refusal", || {
        let (mut kv, local) = (kv.clone(), local.clone());
        async move { kv.range(requiring(local)).await.err() }
    });
    assert_eq!(refusal(Err::<(), _>(refused.await)), no_leader);
    let renewal = requiring(tokio_stream::iter([LeaseKeepAliveRequest { id: 1 }]));
    assert_eq!(refusal(cluster.lease(0).await.lease_keep_alive(renewal).await), no_leader);
    kv.range(local.clone()).await.expect("it does not require one");
    let mut maintenance = cluster.maintenance(0).await;
    assert_eq!(refusal(maintenance.status(requiring(StatusRequest {})).await), no_leader);
    maintenance.status(StatusRequest {}).await.expect("it does not require one");

    assert_eq!(refusal(strict.result().await), no_leader);
    assert_eq!(refusal(tokio::time::timeout(PATIENCE, renewals.message()).await.expect("in time")), no_leader);
    let lock = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic");
    assert_eq!(refusal(lock), no_leader);
    // The other stream is still there: it reports how far it is.
    patient.request_progress().await;
    assert_eq!(patient.next().await.watch_id, -1);
    drop(requests);
}
