//! What a program sees that uses the `etcd-client` crate.

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse,
};

use crate::run::Run;

fn error(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("{:?} {:?}", status.code() as i32, status.message()),
        other => other.to_string(),
    }
}

fn keys(pairs: &[etcd_client::KeyValue]) -> Vec<(String, String, i64)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs.iter().map(|pair| (text(pair.key()), text(pair.value()), pair.version())).collect()
}

pub async fn etcd_client(run: &mut Run) {
    run.group("etcd-client").await;
    let mut client = Client::connect([run.address.to_string()], None).await.expect("a client");
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
