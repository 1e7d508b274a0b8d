//! Fills a cluster before or as a part of what is measured: many keys in each transaction, many transactions in flight.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use anyhow::Context;
use bytes::Bytes;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, request_op};
use tokio::task::JoinSet;

use super::keys;
use crate::load;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method, frame};

/// Keys in one transaction: below etcd's bound of 128 operations.
const KEYS_PER_TXN_MAX: usize = 100;
/// Bytes of values in one transaction: below etcd's bound of 1.5 MiB for a request.
const VALUE_BYTES_PER_TXN_MAX: usize = 1 << 20;
/// Transactions in flight: enough to keep the disk busy, few enough that their bytes do not matter.
const IN_FLIGHT: usize = 24;

/// Puts keys `0..keys` under a prefix, with values that differ; afterwards every member has them.
///
/// # Errors
/// When the cluster refuses one.
pub async fn keys(side: &Side, prefix: &'static str, keys: usize, value_bytes: usize) -> anyhow::Result<()> {
    let per_txn = (VALUE_BYTES_PER_TXN_MAX / value_bytes.max(1)).clamp(1, KEYS_PER_TXN_MAX);
    let request = Rc::new(move |batch: usize| {
        let first = batch * per_txn;
        frame(&txn(prefix, first..(first + per_txn).min(keys), value_bytes))
    });
    all(side, Method::Txn, keys.div_ceil(per_txn), IN_FLIGHT, request).await
}

/// Sends `count` requests, so many at a time; afterwards every member has applied them.
///
/// # Errors
/// When the cluster refuses one.
pub async fn all(
    side: &Side,
    method: Method,
    count: usize,
    in_flight: usize,
    request: Rc<dyn Fn(usize) -> Bytes>,
) -> anyhow::Result<()> {
    let next = Rc::new(Cell::new(0));
    let mut senders = JoinSet::new();
    for connection in load::connect(side, in_flight.min(count.max(1))).await? {
        senders.spawn_local(send(connection, method, count, Rc::clone(&next), Rc::clone(&request)));
    }
    while let Some(ended) = senders.join_next().await {
        ended.context("a client panicked")?.with_context(|| format!("cannot fill {}", side.kind().name()))?;
    }
    caught_up(side).await
}

async fn send(
    mut connection: Connection,
    method: Method,
    count: usize,
    next: Rc<Cell<usize>>,
    request: Rc<dyn Fn(usize) -> Bytes>,
) -> Result<(), Failure> {
    while next.get() < count {
        connection.call(method, request(next.replace(next.get() + 1))).await?;
    }
    Ok(())
}

fn txn(prefix: &str, numbers: Range<usize>, value_bytes: usize) -> TxnRequest {
    let mut random = keys::random(numbers.start);
    let put = |number| {
        let (key, value) = (keys::key(prefix, number), keys::value(&mut random, value_bytes));
        let put = PutRequest { key, value, ..PutRequest::default() };
        RequestOp { request: Some(request_op::Request::RequestPut(put)) }
    };
    TxnRequest { success: numbers.map(put).collect(), ..TxnRequest::default() }
}

/// A linearizable read on every member: it answers when that member has all that was written before.
async fn caught_up(side: &Side) -> anyhow::Result<()> {
    for endpoint in side.leader_first().await? {
        let read = RangeRequest { key: "/bench".into(), ..RangeRequest::default() };
        let _: RangeResponse = Connection::open(&endpoint).await?.ask(Method::Range, &read).await?;
    }
    Ok(())
}
