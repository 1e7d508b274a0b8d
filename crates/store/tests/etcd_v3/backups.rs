//! Streams of backups that nobody reads.

use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::{PutRequest, SnapshotRequest, SnapshotResponse};
use sha2::{Digest as _, Sha256};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use crate::cluster::Cluster;
use crate::{PATIENCE, eventually, refusal};

/// How many are read at one time.
const PLACES: usize = 4;
/// All places should be taken before the first is given up.
const STALL: Duration = Duration::from_secs(10);

/// A client whose connection takes little before it is read.
async fn narrow(cluster: &Cluster) -> MaintenanceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", cluster.members[0].address)).expect("a good address");
    let endpoint = endpoint.initial_stream_window_size(64 << 10).initial_connection_window_size(64 << 10);
    MaintenanceClient::new(endpoint.connect().await.expect("the member listens"))
}

/// Reads to the end; gives all bytes.
async fn whole(mut blobs: Streaming<SnapshotResponse>) -> Result<Vec<u8>, tonic::Status> {
    let mut content = Vec::new();
    while let Some(response) = tokio::time::timeout(PATIENCE, blobs.message()).await.expect("a blob in time")? {
        content.extend_from_slice(&response.blob);
    }
    Ok(content)
}

#[tokio::test]
async fn backups_that_nobody_reads_are_given_up_and_leave_their_places() {
    let cluster = Cluster::start_with(false, |options| options.etcd.list_stall = STALL);
    let mut kv = cluster.kv(0).await;
    // What does not compress, and is more than all that may be under way to one client.
    let mut block = [0; 32];
    for i in 0..8 {
        let value = (0..32_768_u32).flat_map(|_| {
            block = Sha256::digest(block).into();
            block
        });
        let value = Bytes::from_iter(value);
        kv.put(PutRequest { key: format!("large-{i}").into(), value, ..Default::default() }).await.expect("a put");
    }
    let mut unread = Vec::new();
    // A machine may be so busy that some are given up before there is no place left.
    let refused = loop {
        let mut client = narrow(&cluster).await;
        match client.snapshot(SnapshotRequest {}).await {
            Ok(stream) => unread.push((client, stream.into_inner())),
            refused => break refusal(refused),
        }
        assert!(unread.len() < 5 * PLACES, "the bound was never reached");
    };
    assert!(unread.len() >= PLACES, "{} are read at one time", unread.len());
    assert_eq!(refused, (Code::ResourceExhausted, "etcdserver: too many requests".to_owned()));

    let client = cluster.maintenance(0).await;
    let again = || {
        let mut client = client.clone();
        async move { client.snapshot(SnapshotRequest {}).await.ok() }
    };
    let content = whole(eventually("a place", again).await.into_inner()).await.expect("it is whole");
    let (content, sum) = content.split_at(content.len() - 32);
    assert!(content.len() > 8 << 20, "{}", content.len());
    assert_eq!(Sha256::digest(content)[..], *sum);
    // All of them were given up once so many places are free at the same time.
    let mut held = Vec::new();
    for _ in 0..PLACES {
        held.push(eventually("a place", again).await);
    }
    drop(held);
    // None of them looks complete.
    for (_client, stream) in unread {
        let ended = whole(stream).await.map(|content| content.len()).expect_err("it was given up");
        assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended:?}");
    }
    drop(eventually("room", again).await);
}
