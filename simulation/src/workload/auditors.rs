//! Clients that look whether all is well while the others work, and one that compacts.

use std::time::Duration;

use keelson_proto::etcdserverpb::{CompactionRequest, RangeRequest};

use super::writers::PREFIX;
use super::{Client, ask, end_of};

/// They read everything, so they come seldom.
const SELDOM: Duration = Duration::from_secs(4);

/// Reads all acknowledged writes back.
pub async fn acknowledged(client: Client) {
    let client = Client { pause_max: SELDOM, ..client };
    while client.pause().await {
        read_back(&client).await;
    }
}

/// Once. False when there was no answer.
pub async fn read_back(client: &Client) -> bool {
    let Some(member) = client.member() else { return false };
    let count = client.invariants.acknowledged.count();
    let range = RangeRequest { key: PREFIX.into(), range_end: end_of(PREFIX), ..RangeRequest::default() };
    let answer = ask(client, member, move |handle| async move { handle.range(range).await }).await;
    let Some(Ok(answer)) = answer else { return false };
    client.trace.line(format_args!("{} writes read back, at least {count}", answer.kvs.len()));
    client.invariants.acknowledged.read(count, &answer.kvs);
    true
}

/// Compares members.
pub async fn hash_kv(client: Client) {
    let client = Client { pause_max: SELDOM, ..client };
    while client.pause().await {
        client.invariants.hash_kv.check(&client.cluster).await;
    }
}

/// Compacts up to somewhere behind the newest revision.
pub async fn compact(client: Client) {
    let client = Client { pause_max: 5 * SELDOM, ..client };
    while client.pause().await {
        let Some(member) = client.member() else { continue };
        let behind = i64::try_from(client.random.below(200)).unwrap_or(0);
        let revision = client.invariants.watches.newest() - behind;
        if revision > 0 {
            let request = CompactionRequest { revision, physical: false };
            let answer = ask(&client, member, move |handle| async move { handle.compact(request).await }).await;
            client.trace.line(format_args!("compacted to {revision}: {}", matches!(answer, Some(Ok(_)))));
        }
    }
}
