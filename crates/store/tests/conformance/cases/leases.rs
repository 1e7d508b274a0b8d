//! Leases.

use keelson_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
    PutRequest,
};

use crate::run::{Run, put, range, refusal};
use crate::show::Show;

pub async fn all(run: &mut Run) {
    run.group("lease").await;
    for (name, id, ttl) in [
        ("grant", 72_001, 600),
        ("grant the same id", 72_001, 500),
        ("grant, the server chooses", 0, 600),
        ("grant for ten seconds", 72_002, 10),
        ("grant for the longest time", 72_003, 9_000_000_000),
        ("grant for longer", 72_004, 9_000_000_001),
        ("grant for a second", 72_005, 1),
        ("grant for no time", 72_006, 0),
        ("grant for less than no time", 72_007, -1),
    ] {
        let answer = run.lease.lease_grant(LeaseGrantRequest { id, ttl }).await;
        run.case(name, answer);
    }
    for key in ["l/b", "l/a"] {
        run.kv.put(PutRequest { lease: 72_001, ..put(key, "1") }).await.expect("a put");
    }
    for (name, id, keys) in [
        ("time to live", 72_001, false),
        ("time to live with keys", 72_001, true),
        ("time to live of none", 72_099, true),
        ("time to live of 0", 0, false),
    ] {
        let answer = run.lease.lease_time_to_live(LeaseTimeToLiveRequest { id, keys }).await;
        run.case(name, answer);
    }
    for (name, id) in [("keep alive", 72_001), ("keep alive of none", 72_099), ("keep alive of 0", 0)] {
        let text = match run.lease.lease_keep_alive(tokio_stream::iter([LeaseKeepAliveRequest { id }])).await {
            Ok(answers) => match answers.into_inner().message().await {
                Ok(answer) => answer.show(run.base),
                Err(status) => refusal(&status),
            },
            Err(status) => refusal(&status),
        };
        run.note(name, text);
    }
    for (name, id) in [("revoke", 72_001), ("revoke again", 72_001), ("revoke of none", 72_099), ("revoke of 0", 0)] {
        let answer = run.lease.lease_revoke(LeaseRevokeRequest { id }).await;
        run.case(name, answer);
    }
    let answer = run.kv.range(range("l/", "l0")).await;
    run.case("its keys go in one revision", answer);
    let answer = run.lease.lease_revoke(LeaseRevokeRequest { id: 72_003 }).await;
    run.case("revoke without keys", answer);
    let mut leases = run.lease.lease_leases(LeaseLeasesRequest {}).await;
    if let Ok(leases) = &mut leases {
        // The short ones may or may not be over.
        leases.get_mut().leases.retain(|lease| [72_001, 72_003].contains(&lease.id));
    }
    run.case("those that were revoked are gone", leases);
}
