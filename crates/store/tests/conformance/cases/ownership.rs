//! Locks and elections.

use keelson_proto::etcdserverpb::LeaseGrantRequest;
use keelson_proto::v3electionpb::{CampaignRequest, LeaderKey, LeaderRequest, ProclaimRequest, ResignRequest};
use keelson_proto::v3lockpb::{LockRequest, UnlockRequest};

use crate::run::{Run, range};

pub async fn locks(run: &mut Run) {
    run.group("lock").await;
    for id in [0x11ab, 0x11ac] {
        run.lease.lease_grant(LeaseGrantRequest { id, ttl: 600 }).await.expect("a lease");
    }
    let lock = |lease: i64| LockRequest { name: "o/lock".into(), lease };
    for (name, lease) in [("free", 0x11ab), ("by its holder", 0x11ab), ("with an unknown lease", 0x11ff)] {
        let answer = run.lock.lock(lock(lease)).await;
        run.case(name, answer);
    }
    let answer = run.kv.range(range("o/lock/", "o/lock0")).await;
    run.case("its key", answer);
    for (name, key) in [("unlock", "o/lock/11ab"), ("unlock again", "o/lock/11ab"), ("unlock without a key", "")] {
        let answer = run.lock.unlock(UnlockRequest { key: key.into() }).await;
        run.case(name, answer);
    }
    let answer = run.lock.lock(lock(0x11ac)).await;
    run.case("free again", answer);
    let answer = run.lock.lock(LockRequest { name: "".into(), lease: 0x11ac }).await;
    run.case("without a name", answer);
}

pub async fn elections(run: &mut Run) {
    run.group("election").await;
    let lease = 0x12ab;
    run.lease.lease_grant(LeaseGrantRequest { id: lease, ttl: 600 }).await.expect("a lease");
    let name = || "o/election".into();
    let answer = run.election.leader(LeaderRequest { name: name() }).await;
    run.case("no leader", answer);
    for (case, lease, value) in
        [("campaign", lease, "a"), ("campaign again", lease, "a"), ("campaign with another value", lease, "b")]
    {
        let answer = run.election.campaign(CampaignRequest { name: name(), lease, value: value.into() }).await;
        run.case(case, answer);
    }
    let unknown = CampaignRequest { name: name(), lease: 0x12ff, value: "x".into() };
    let answer = run.election.campaign(unknown).await;
    run.case("campaign with an unknown lease", answer);
    let answer = run.election.leader(LeaderRequest { name: name() }).await;
    run.case("leader", answer);
    let rev = run.base + 1;
    let own = LeaderKey { name: name(), key: format!("o/election/{lease:x}").into(), rev, lease };
    let proclaim = |leader: Option<LeaderKey>| ProclaimRequest { leader, value: "c".into() };
    let older = LeaderKey { rev: rev - 1, ..own.clone() };
    for (case, leader) in
        [("proclaim", Some(own.clone())), ("proclaim by another", Some(older.clone())), ("proclaim by nobody", None)]
    {
        let answer = run.election.proclaim(proclaim(leader)).await;
        run.case(case, answer);
    }
    let mut observed = run.election.observe(LeaderRequest { name: name() }).await.expect("a stream").into_inner();
    let first = observed.message().await.map(|response| tonic::Response::new(response.unwrap_or_default()));
    run.case("observe", first);
    for (case, leader) in [
        ("resign by another", Some(older)),
        ("resign by nobody", None),
        ("resign", Some(own.clone())),
        ("resign again", Some(own)),
    ] {
        let answer = run.election.resign(ResignRequest { leader }).await;
        run.case(case, answer);
    }
    let answer = run.election.leader(LeaderRequest { name: name() }).await;
    run.case("no leader again", answer);
}
