//! What a program sees that uses the `etcd-client` crate.

use etcd_client::{
    AlarmAction, AlarmType, Client, Compare, CompareOp, ConnectOptions, DeleteOptions, Error, EventType, GetOptions,
    LeaseGrantOptions, LockOptions, ProclaimOptions, PutOptions, ResignOptions, Txn, TxnOp, TxnOpResponse,
    WatchOptions,
};

use crate::patience::CASE_LIMIT;
use crate::run::Run;

fn error(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("{:?} {:?}", status.code() as i32, status.message()),
        other => other.to_string(),
    }
}

async fn connect(run: &Run) -> Client {
    let options = ConnectOptions::new().with_timeout(CASE_LIMIT).with_connect_timeout(CASE_LIMIT);
    Client::connect([run.address.to_string()], Some(options)).await.expect("a client")
}

/// Whether there is an answer, or why there is none.
fn done<T>(answer: Result<T, Error>) -> String {
    answer.map_or_else(|refused| error(&refused), |_| "done".to_owned())
}

fn keys(pairs: &[etcd_client::KeyValue]) -> Vec<(String, String, i64)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs.iter().map(|pair| (text(pair.key()), text(pair.value()), pair.version())).collect()
}

pub async fn etcd_client(run: &mut Run) {
    run.group("etcd-client").await;
    let mut client = connect(run).await;
    for i in 0..3 {
        client.put(format!("x/{i}"), i.to_string(), None).await.expect("a put");
    }
    let all = || Some(GetOptions::new().with_prefix());
    let listed = client.get("x/", all()).await.expect("a range");
    run.note("list", format!("{:?} {} {}", keys(listed.kvs()), listed.count(), listed.more()));
    let listed = client.get("x/", all().map(|options| options.with_limit(1).with_keys_only())).await.expect("a range");
    run.note("list with a limit", format!("{:?} {} {}", keys(listed.kvs()), listed.count(), listed.more()));
    let options = PutOptions::new().with_prev_key();
    let response = client.put("x/0", "again", Some(options)).await.expect("a put");
    run.note("put with the previous", format!("{:?}", response.prev_key().map(|pair| pair.value().to_vec())));
    let guarded = |version: i64| {
        Txn::new()
            .when([Compare::version("x/1", CompareOp::Equal, version)])
            .and_then([TxnOp::put("x/1", "swapped", None)])
            .or_else([TxnOp::get("x/1", None)])
    };
    for (name, version) in [("swap", 1), ("swap too late", 1)] {
        let response = client.txn(guarded(version)).await.expect("a transaction");
        let read = response.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(response) => Some(keys(response.kvs())),
            _ => None,
        });
        run.note(name, format!("{} {read:?}", response.succeeded()));
    }
    let refused = client.put("x/0", "", Some(PutOptions::new().with_lease(4711))).await.expect_err("no such lease");
    run.note("put with an unknown lease", error(&refused));
    let refused = client.get("x/0", Some(GetOptions::new().with_revision(1 << 40))).await.expect_err("the future");
    run.note("get from the future", error(&refused));
    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let deleted = client.delete("x/", Some(options)).await.expect("a deletion");
    run.note("delete", format!("{} {:?}", deleted.deleted(), keys(deleted.prev_kvs())));
    let lease = client.lease_grant(600, None).await.expect("a lease").id();
    client.put("x/l", "", Some(PutOptions::new().with_lease(lease))).await.expect("a put");
    let options = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
    let left = client.lease_time_to_live(lease, Some(options)).await.expect("a time");
    run.note("time to live", format!("{} {:?}", left.granted_ttl(), left.keys()));
    client.lease_revoke(lease).await.expect("a revocation");
    let refused = client.lease_revoke(lease).await.expect_err("it is gone");
    run.note("revoke twice", error(&refused));
    let gone = client.get("x/l", None).await.expect("a range");
    run.note("the key of a lease that was revoked", format!("{:?}", keys(gone.kvs())));
}

pub async fn etcd_client_watches(run: &mut Run) {
    run.group("etcd-client watches").await;
    let mut client = connect(run).await;
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = client.watch("y/", Some(options)).await.expect("a stream");
    let created = run.patience.wait(stream.message()).await.expect("in time").expect("an answer").expect("no end");
    run.note("created", format!("{} {}", created.created(), created.watch_id()));
    client.put("y/a", "1", None).await.expect("a put");
    client.put("y/a", "2", None).await.expect("a put");
    client.delete("y/a", None).await.expect("a deletion");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = run.patience.wait(stream.message()).await.expect("in time").expect("an answer").expect("no end");
        seen.extend(response.events().iter().map(|event| {
            let previous = event.prev_kv().map(|pair| pair.value().to_vec());
            (event.event_type() == EventType::Put, previous)
        }));
    }
    run.note("events", format!("{seen:?}"));
    stream.cancel(created.watch_id()).await.expect("the stream is open");
    let end = run.patience.wait(stream.message()).await.expect("in time").expect("an answer").expect("no end");
    run.note("cancelled", format!("{} {:?}", end.canceled(), end.cancel_reason()));

    let lease = 0x13ab;
    client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(lease))).await.expect("a lease");
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await.expect("a stream");
    keeper.keep_alive().await.expect("the stream is open");
    let answer = run.patience.wait(kept.message()).await.expect("in time").expect("an answer").expect("no end");
    run.note("keep alive", format!("{} {}", answer.id(), answer.ttl()));
    let held = client.lock("y/lock", Some(LockOptions::new().with_lease(lease))).await.expect("a lock");
    run.note("lock", String::from_utf8_lossy(held.key()));
    run.note("unlock", done(client.unlock(held.key()).await));
    let elected = client.campaign("y/election", "a", lease).await.expect("an election");
    let leader = elected.leader().expect("a leader").clone();
    run.note("campaign", String::from_utf8_lossy(leader.key()));
    let options = || Some(ProclaimOptions::new().with_leader(leader.clone()));
    run.note("proclaim", done(client.proclaim("b", options()).await));
    let led = client.leader("y/election").await.expect("a leader");
    run.note("leader", format!("{:?}", led.kv().map(|pair| pair.value().to_vec())));
    run.note("resign", done(client.resign(Some(ResignOptions::new().with_leader(leader.clone()))).await));
    run.note("proclaim after that", done(client.proclaim("c", options()).await));
}

pub async fn etcd_client_of_the_cluster(run: &mut Run) {
    run.group("etcd-client of the cluster").await;
    let mut client = connect(run).await;
    let status = client.status().await.expect("a status");
    let own = status.header().expect("a header").member_id();
    let errors = status.errors();
    run.note("status", format!("{} {} {errors:?}", status.leader() == own, status.is_learner()));
    let members = client.member_list().await.expect("a list");
    let names: Vec<&str> = members.members().iter().map(etcd_client::Member::name).collect();
    run.note("members", format!("{names:?}"));
    run.note("remove an unknown member", done(client.member_remove(1).await));
    // See `members`.
    client.put("y/between", "", None).await.expect("a put");
    run.note("update an unknown member", done(client.member_update(1, ["http://127.0.0.1:3".to_owned()]).await));
    run.note("move the leader to an unknown member", done(client.move_leader(1).await));
    let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await.expect("alarms");
    run.note("alarms", alarms.alarms().len().to_string());
    run.note("hash", done(client.hash().await));
    run.note("hash of the future", done(client.hash_kv(1 << 40).await));
    run.note("defragment", done(client.defragment().await));
    run.note("a user that is not there", done(client.user_get("nobody").await));
    run.note("a role that is not there", done(client.role_get("nobody").await));
    run.note("enable authentication without root", done(client.auth_enable().await));
    run.note("compact the future", done(client.compact(1 << 40, None).await));
}
