//! Maintenance: figures, alarms, checksums, backups, and what a cluster of one cannot do.

use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::downgrade_request::DowngradeAction;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::{
    AlarmRequest, AlarmType, DefragmentRequest, DowngradeRequest, HashKvRequest, HashRequest, MoveLeaderRequest,
    SnapshotRequest, StatusRequest,
};

use crate::run::{Run, done, put, range, text};
use crate::wire::Wire;

type Client = MaintenanceClient<Wire>;

pub async fn all(run: &mut Run) {
    run.group("maintenance").await;
    let mut client = MaintenanceClient::new(run.wire.clone());
    run.put("maintenance", "1").await;
    status(run, &mut client, "status").await;
    let own = client.status(StatusRequest {}).await.expect("a status").into_inner().header.expect("a header").member_id;
    alarms(run, &mut client, own).await;
    checksums(run, &mut client).await;

    let snapshot = client.snapshot(SnapshotRequest {}).await;
    let mut stream = snapshot.expect("a snapshot").into_inner();
    let (mut bytes, mut left) = (0, Vec::new());
    while let Some(piece) = stream.message().await.expect("a piece") {
        bytes += piece.blob.len();
        left.push(piece.remaining_bytes);
    }
    let falls = left.windows(2).all(|pair| pair[0] >= pair[1]);
    run.note("snapshot", format!("bytes {} falls {falls} ends at {:?}", bytes > 0, left.last()));

    for (name, target_id) in [("an unknown member", 1), ("nobody", 0), ("itself", own)] {
        let answer = client.move_leader(MoveLeaderRequest { target_id }).await;
        run.note(format!("move the leader to {name}"), done(answer));
    }
    let answer = client.defragment(DefragmentRequest {}).await;
    run.note("defragment", done(answer));
    for (name, action, version) in [
        ("validate without a version", DowngradeAction::Validate, ""),
        ("validate what is no version", DowngradeAction::Validate, "three"),
        ("validate a version of long ago", DowngradeAction::Validate, "2.3"),
        ("validate a version to come", DowngradeAction::Validate, "3.99"),
        ("cancel none", DowngradeAction::Cancel, ""),
    ] {
        let answer = client.downgrade(DowngradeRequest { action: action.into(), version: version.to_owned() }).await;
        run.note(format!("downgrade: {name}"), done(answer));
    }
}

async fn status(run: &mut Run, client: &mut Client, name: &str) {
    let answer = client.status(StatusRequest {}).await;
    let show = |status: keelson_proto::etcdserverpb::StatusResponse| {
        let header = status.header.expect("a header");
        let errors: Vec<String> =
            status.errors.iter().map(|error| error.replace(&header.member_id.to_string(), "own")).collect();
        format!(
            "version {} bytes {} in use {} leads {} log {} learner {} errors {errors:?}",
            status.version.starts_with("3."),
            status.db_size > 0,
            status.db_size_in_use > 0 && status.db_size_in_use <= status.db_size,
            status.leader == header.member_id,
            status.raft_index > 0 && status.raft_applied_index > 0 && status.raft_term > 0,
            status.is_learner,
        )
    };
    run.note(name, text(answer, show));
}

async fn alarms(run: &mut Run, client: &mut Client, own: u64) {
    let ask =
        async |run: &mut Run, client: &mut Client, name: &str, action: AlarmAction, member_id, alarm: AlarmType| {
            let answer = client.alarm(AlarmRequest { action: action.into(), member_id, alarm: alarm.into() }).await;
            let show = |response: keelson_proto::etcdserverpb::AlarmResponse| {
                let alarms: Vec<(bool, i32)> =
                    response.alarms.iter().map(|alarm| (alarm.member_id == own, alarm.alarm)).collect();
                format!("{alarms:?}")
            };
            run.note(format!("alarms: {name}"), text(answer, show));
        };
    use AlarmAction::{Activate, Deactivate, Get};
    use AlarmType::{Corrupt, None, Nospace};
    ask(run, client, "none", Get, 0, None).await;
    ask(run, client, "clear one that is not raised", Deactivate, own, Nospace).await;
    ask(run, client, "raise NOSPACE", Activate, own, Nospace).await;
    ask(run, client, "raise it again", Activate, own, Nospace).await;
    ask(run, client, "one", Get, 0, None).await;
    ask(run, client, "of another kind", Get, 0, Corrupt).await;
    status(run, client, "alarms: status without space").await;
    let answer = run.kv.put(put("maintenance", "2")).await;
    run.case("alarms: a put without space", answer);
    let answer = run.kv.range(range("maintenance", "")).await;
    run.case("alarms: a range without space", answer);
    ask(run, client, "clear it", Deactivate, own, Nospace).await;
    let answer = run.kv.put(put("maintenance", "3")).await;
    run.case("alarms: a put with space", answer);
    ask(run, client, "raise CORRUPT", Activate, own, Corrupt).await;
    let answer = run.kv.put(put("maintenance", "4")).await;
    run.case("alarms: a put to a corrupt cluster", answer);
    let answer = run.kv.range(range("maintenance", "")).await;
    run.case("alarms: a range of a corrupt cluster", answer);
    ask(run, client, "clear CORRUPT", Deactivate, own, Corrupt).await;
    ask(run, client, "none is left", Get, 0, None).await;
}

async fn checksums(run: &mut Run, client: &mut Client) {
    let answer = client.hash(HashRequest {}).await;
    run.note("hash", text(answer, |response| format!("{}", response.hash != 0)));
    for (name, revision) in [("now", 0), ("the newest revision", run.revision().await), ("the future", 1 << 40)] {
        let answer = client.hash_kv(HashKvRequest { revision }).await;
        run.note(format!("hash of {name}"), text(answer, |response| format!("{}", response.hash != 0)));
    }
}
