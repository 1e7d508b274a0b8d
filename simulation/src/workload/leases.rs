//! Leases with a key each, renewed for a while, and then left to end or revoked.

use keelson_proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, PutRequest};
use keelson_store::Handle;

use super::{Client, ask};

/// Before all keys of leases; the lease's number follows.
pub const PREFIX: &str = "lease/";
/// In seconds; the store allows no less than 1.
const TTL_MAX: usize = 8;
/// A lease is renewed at most so many times.
const RENEWALS_MAX: usize = 6;

/// Works until it must stop.
pub async fn run(client: Client, keeper: i64) {
    let mut count = 0;
    while client.pause().await {
        count += 1;
        let id = keeper * 1_000_000 + count;
        let ttl = i64::try_from(1 + client.random.below(TTL_MAX)).unwrap_or(1);
        if grant(&client, id, ttl).await.is_none() {
            continue;
        }
        for _ in 0..client.random.below(RENEWALS_MAX) {
            let wait = client.random.millis(0..=u64::try_from(ttl).unwrap_or(1) * 900);
            tokio::time::sleep(wait).await;
            if client.stop.is_cancelled() {
                return;
            }
            renew(&client, id).await;
        }
        if client.random.chance(3000)
            && let Some(member) = client.member()
        {
            client.invariants.leases.revoked(id);
            let request = LeaseRevokeRequest { id };
            let answer = ask(&client, member, move |handle| async move { handle.lease_revoke(request).await }).await;
            client.trace.line(format_args!("lease {id} revoked: {}", matches!(answer, Some(Ok(_)))));
        }
    }
}

/// Grants a lease and puts its key.
async fn grant(client: &Client, id: i64, ttl: i64) -> Option<()> {
    let member = client.member()?;
    let asked = client.trace.elapsed();
    let request = LeaseGrantRequest { id, ttl };
    let granted = ask(client, member, move |handle| async move { handle.lease_grant(request).await }).await?.ok()?;
    client.invariants.leases.promised(id, asked, granted.ttl);
    client.trace.line(format_args!("lease {id} of {} s granted", granted.ttl));
    let put = PutRequest { key: format!("{PREFIX}{id}").into(), lease: id, ..PutRequest::default() };
    let put = ask(client, member, move |handle: Handle| async move { handle.put(put).await }).await?.ok()?;
    client.invariants.watches.acknowledged(put.header.map_or(0, |header| header.revision));
    Some(())
}

async fn renew(client: &Client, id: i64) {
    let Some(member) = client.member() else { return };
    let asked = client.trace.elapsed();
    let request = LeaseKeepAliveRequest { id };
    let renewed = ask(client, member, move |handle| async move { handle.lease_keep_alive(request).await }).await;
    client.trace.line(format_args!("lease {id} renewed: {renewed:?}"));
    if let Some(Ok(renewed)) = renewed {
        client.invariants.leases.promised(id, asked, renewed.ttl);
    }
}
