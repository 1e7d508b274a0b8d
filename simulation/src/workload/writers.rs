//! Writes of keys that are never written again, a few in one transaction now and then, and deletions of others.

use keelson_proto::etcdserverpb::request_op::Request;
use keelson_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};

use super::{Client, ask, end_of};

/// Before all such keys.
pub const PREFIX: &str = "acknowledged/";
/// Before keys that come and go.
const PASSING: &str = "passing/";

/// Works until it must stop.
pub async fn run(client: Client, writer: usize) {
    let mut count = 0;
    while client.pause().await {
        let Some(member) = client.member() else { continue };
        count += 1;
        let puts: Vec<PutRequest> = (0..1 + client.random.below(3))
            .map(|part| PutRequest {
                key: format!("{PREFIX}{writer}.{count}.{part}").into(),
                value: vec![b'a'; client.random.below(200)].into(),
                ..PutRequest::default()
            })
            .collect();
        let mut operations: Vec<Request> = puts.iter().cloned().map(Request::RequestPut).collect();
        if client.random.chance(2000) {
            let key = format!("{PASSING}{}", client.random.below(5));
            operations.push(Request::RequestPut(PutRequest { key: key.into(), ..PutRequest::default() }));
        } else if client.random.chance(1000) {
            let range = DeleteRangeRequest { key: PASSING.into(), range_end: end_of(PASSING), prev_kv: false };
            operations.push(Request::RequestDeleteRange(range));
        }
        let success = operations.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
        let txn = TxnRequest { success, ..TxnRequest::default() };
        let answer = ask(&client, member, move |handle| async move { handle.txn(txn, 0).await }).await;
        client.trace.line(format_args!("writer {writer} has {count} answered: {}", matches!(answer, Some(Ok(_)))));
        let Some(Ok(answer)) = answer else { continue };
        let revision = answer.header.map_or(0, |header| header.revision);
        client.invariants.watches.acknowledged(revision);
        for put in puts {
            client.invariants.acknowledged.acknowledge(put.key.to_vec(), put.value.to_vec(), revision);
        }
    }
}
