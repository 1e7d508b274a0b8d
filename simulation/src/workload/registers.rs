//! Reads, puts and compare-and-sets of a few keys, from which linearizability is judged.

use std::collections::BTreeMap;

use keelson_checkers::history::Outcome;
use keelson_checkers::model::register::{Answer, Call, Versioned};
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::request_op::Request;
use keelson_proto::etcdserverpb::response_op::Response;
use keelson_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest, TxnResponse,
};
use keelson_store::{Error, Handle};

use super::{Client, MARK, ask, failed, lost};
use crate::mutant::Mutant;

const KEYS: usize = 5;

/// Works until it must stop.
pub async fn run(client: Client, process: u64) {
    let mut last_seen = BTreeMap::new();
    let mut count = 0;
    while client.pause().await {
        let Some(member) = client.member() else { continue };
        count += 1;
        let place = client.random.below(KEYS);
        let key = client.invariants.registers.key(place);
        let value = format!("{MARK} {process}.{count}");
        let call = match client.random.below(3) {
            0 => Call::Read { key: key.clone() },
            1 => Call::Put { key: key.clone(), value },
            _ => {
                let expected_mod_revision = last_seen.get(&key).copied().unwrap_or(0);
                Call::CompareAndSet { key: key.clone(), expected_mod_revision, value }
            }
        };
        let writes = !matches!(call, Call::Read { .. });
        let id = client.invariants.registers.invoke(process, call.clone());
        let stale = client.mutant == Some(Mutant::StaleRead);
        let answer = ask(&client, member, move |handle| async move { perform(&handle, call, stale).await }).await;
        let outcome = match answer {
            None => lost(),
            Some(Err(error)) => failed(&error),
            Some(Ok(answer)) => {
                let seen = match &answer {
                    Answer::Read { found, .. } | Answer::Different { found, .. } => {
                        found.as_ref().map_or(0, |found| found.mod_revision)
                    }
                    Answer::Written { revision } => {
                        client.invariants.watches.acknowledged(*revision);
                        *revision
                    }
                };
                last_seen.insert(key, seen);
                Outcome::Ok(answer)
            }
        };
        if writes && matches!(outcome, Outcome::Unknown { .. }) {
            client.invariants.registers.unknown(place);
        }
        client.invariants.registers.complete(id, outcome);
    }
}

async fn perform(handle: &Handle, call: Call, stale: bool) -> Result<Answer, Error> {
    let range = |key: String| RangeRequest { key: key.into(), serializable: stale, ..RangeRequest::default() };
    let put = |key: String, value: String| PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
    match call {
        Call::Read { key } => {
            let answer = handle.range(range(key)).await?;
            // A local read has no header.
            let revision = answer.header.as_ref().map_or(0, |header| header.revision);
            Ok(Answer::Read { found: found(&answer), revision: revision.max(newest(&answer)) })
        }
        Call::Put { key, value } => {
            let answer = handle.put(put(key, value)).await?;
            Ok(Answer::Written { revision: revision(answer.header) })
        }
        Call::CompareAndSet { key, expected_mod_revision, value } => {
            let unchanged = Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Mod.into(),
                key: key.clone().into(),
                target_union: Some(TargetUnion::ModRevision(expected_mod_revision)),
                ..Compare::default()
            };
            let operation = |request| vec![RequestOp { request: Some(request) }];
            let txn = TxnRequest {
                compare: vec![unchanged],
                success: operation(Request::RequestPut(put(key.clone(), value))),
                failure: operation(Request::RequestRange(range(key))),
            };
            answer_of(handle.txn(txn, 0).await?)
        }
    }
}

fn answer_of(answer: TxnResponse) -> Result<Answer, Error> {
    let revision = revision(answer.header);
    if answer.succeeded {
        return Ok(Answer::Written { revision });
    }
    match answer.responses.into_iter().next().and_then(|response| response.response) {
        Some(Response::ResponseRange(range)) => Ok(Answer::Different { found: found(&range), revision }),
        _ => Err(Error::Internal("a read in a transaction was not answered".to_owned())),
    }
}

fn revision(header: Option<ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

fn newest(answer: &RangeResponse) -> i64 {
    answer.kvs.first().map_or(0, |pair| pair.mod_revision)
}

fn found(answer: &RangeResponse) -> Option<Versioned> {
    let pair = answer.kvs.first()?;
    Some(Versioned { value: String::from_utf8_lossy(&pair.value).into_owned(), mod_revision: pair.mod_revision })
}
