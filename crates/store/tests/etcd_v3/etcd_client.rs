//! What a program does that uses the `etcd-client` crate.

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, LeaseGrantOptions, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp, TxnOpResponse, WatchOptions,
};

use crate::cluster::Cluster;

async fn connect(cluster: &Cluster) -> Client {
    let endpoints: Vec<String> = cluster.members.iter().map(|member| member.address.to_string()).collect();
    Client::connect(endpoints, None).await.expect("the cluster is reachable")
}

#[tokio::test]
async fn keys_are_put_listed_and_deleted() {
    let cluster = Cluster::shared();
    let mut client = connect(&cluster).await;
    for i in 0..5 {
        client.put(format!("crate/list/{i}"), i.to_string(), None).await.expect("a put");
    }
    let options = GetOptions::new().with_prefix().with_limit(3).with_sort(SortTarget::Key, SortOrder::Descend);
    let response = client.get("crate/list/", Some(options)).await.expect("a range");
    let values: Vec<&str> = response.kvs().iter().map(|kv| kv.value_str().expect("text")).collect();
    assert_eq!((values, response.count(), response.more()), (vec!["4", "3", "2"], 5, true));
    let deleted = client
        .delete("crate/list/", Some(etcd_client::DeleteOptions::new().with_prefix().with_prev_key()))
        .await
        .expect("a deletion");
    assert_eq!((deleted.deleted(), deleted.prev_kvs().len()), (5, 5));
}

#[tokio::test]
async fn a_counter_is_incremented_by_compare_and_set() {
    let cluster = Cluster::shared();
    let mut client = connect(&cluster).await;
    client.put("crate/counter", "0", None).await.expect("a put");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = client.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while done < 10 {
                let response = client.get("crate/counter", None).await.expect("a range");
                let kv = &response.kvs()[0];
                let next: u32 = kv.value_str().expect("text").parse::<u32>().expect("a number") + 1;
                let txn = Txn::new()
                    .when([Compare::mod_revision("crate/counter", CompareOp::Equal, kv.mod_revision())])
                    .and_then([TxnOp::put("crate/counter", next.to_string(), None)])
                    .or_else([TxnOp::get("crate/counter", None)]);
                let response = client.txn(txn).await.expect("a transaction");
                done += u32::from(response.succeeded());
                if !response.succeeded() {
                    assert!(matches!(response.op_responses()[0], TxnOpResponse::Get(_)));
                }
            }
        });
    }
    tasks.join_all().await;
    let response = client.get("crate/counter", None).await.expect("a range");
    assert_eq!(response.kvs()[0].value_str().expect("text"), "80");
}

#[tokio::test]
async fn a_watch_sees_puts_and_the_end_of_a_lease() {
    let cluster = Cluster::shared();
    let mut client = connect(&cluster).await;
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = client.watch("crate/watch/", Some(options)).await.expect("a watch");
    let lease = client.lease_grant(600, Some(LeaseGrantOptions::new())).await.expect("a lease").id();
    client.put("crate/watch/a", "1", Some(PutOptions::new().with_lease(lease))).await.expect("a put");
    client.lease_revoke(lease).await.expect("a revocation");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let response = stream.message().await.expect("a response").expect("the stream goes on");
        for event in response.events() {
            let previous = event.prev_kv().map(|kv| kv.value_str().expect("text").to_owned());
            seen.push((event.event_type() == EventType::Delete, previous));
        }
    }
    assert_eq!(seen, [(false, None), (true, Some("1".to_owned()))]);
}

#[tokio::test]
async fn clients_lock_and_elect() {
    let cluster = Cluster::shared();
    let mut client = connect(&cluster).await;
    let lease = client.lease_grant(600, None).await.expect("a lease").id();
    let options = etcd_client::LockOptions::new().with_lease(lease);
    let held = client.lock("crate/lock", Some(options)).await.expect("the lock");
    assert_eq!(held.key(), format!("crate/lock/{lease:x}").as_bytes());
    client.unlock(held.key()).await.expect("an unlock");

    let elected = client.campaign("crate/election", "me", lease).await.expect("elected");
    let leader = elected.leader().expect("a leader's key").clone();
    let mut observed = client.observe("crate/election").await.expect("a stream");
    let first = observed.message().await.expect("a response").expect("the stream goes on");
    assert_eq!(first.kv().expect("a leader").value(), b"me");
    let options = etcd_client::ResignOptions::new().with_leader(leader);
    client.resign(Some(options)).await.expect("a resignation");
    assert!(client.leader("crate/election").await.is_err());
}
