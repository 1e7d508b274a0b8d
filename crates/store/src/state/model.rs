//! What the state should do, said as simply as possible: all history in memory, everything recomputed.

use std::collections::BTreeMap;

use bytes::Bytes;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::{
    CompactionResponse, Compare, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantResponse, LeaseRevokeResponse,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest,
    TxnResponse, request_op::Request, response_op::Response,
};
use keelson_proto::keelson::store::v1::command::Command as C;
use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::reply::Reply as R;
use keelson_proto::keelson::store::v1::{
    Alarm, AlarmChange, ClusterChanged, ClusterState, Command, LeaseCheckpointed, LeaseExpired, Refusal, Reply,
};
use keelson_proto::mvccpb::{Event, KeyValue};

use crate::mvcc::span::Span;

/// An etcd of maps.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub revision: i64,
    pub compacted: i64,
    /// Content at each revision.
    contents: BTreeMap<i64, BTreeMap<Bytes, KeyValue>>,
    now: BTreeMap<Bytes, KeyValue>,
    events: Vec<Event>,
    /// Events of each revision.
    pub history: BTreeMap<i64, Vec<Event>>,
    pub leases: BTreeMap<i64, i64>,
    alarms: Vec<Alarm>,
}

impl Model {
    pub fn new() -> Self {
        Self {
            revision: 1,
            compacted: 0,
            contents: BTreeMap::from([(1, BTreeMap::new())]),
            now: BTreeMap::new(),
            events: Vec::new(),
            history: BTreeMap::new(),
            leases: BTreeMap::new(),
            alarms: Vec::new(),
        }
    }

    pub fn content(&self, revision: i64) -> Vec<KeyValue> {
        self.contents[&revision].values().cloned().collect()
    }

    pub fn apply(&mut self, term: u64, command: Command) -> Reply {
        let answer = if command.fence_term != 0 && command.fence_term != term {
            Err(Reason::Fenced)
        } else {
            let command = command.command.expect("a command");
            self.alarmed(&command).and_then(|()| self.answer(command))
        };
        let reply = answer.unwrap_or_else(|reason| {
            R::Refusal(Refusal { reason: reason.into(), revision: self.revision, raft_term: term })
        });
        Reply { reply: Some(reply) }
    }

    fn answer(&mut self, command: C) -> Result<R, Reason> {
        match command {
            C::Put(put) => {
                self.check_put(&put)?;
                let response = self.put(put);
                self.seal();
                Ok(R::Put(response))
            }
            C::DeleteRange(delete) => {
                let response = self.delete(&delete);
                self.seal();
                Ok(R::DeleteRange(response))
            }
            C::Txn(txn) => {
                self.check_txn(&txn)?;
                let before = self.now.clone();
                let mut response = self.txn(&before, txn);
                response.header = self.header();
                self.seal();
                Ok(R::Txn(response))
            }
            C::Compact(request) => {
                let nothing = request.revision == 0 && self.compacted == 0;
                if request.revision <= self.compacted && !nothing {
                    return Err(Reason::Compacted);
                }
                if request.revision > self.revision {
                    return Err(Reason::FutureRevision);
                }
                self.compacted = request.revision;
                Ok(R::Compact(CompactionResponse { header: self.header() }))
            }
            C::LeaseGrant(grant) => {
                if self.leases.contains_key(&grant.id) {
                    return Err(Reason::LeaseExists);
                }
                self.leases.insert(grant.id, 0);
                Ok(R::LeaseGrant(LeaseGrantResponse {
                    header: self.header(),
                    id: grant.id,
                    ttl: grant.ttl_seconds,
                    error: String::new(),
                }))
            }
            C::LeaseRevoke(revoke) => {
                self.leases.get(&revoke.id).ok_or(Reason::LeaseNotFound)?;
                self.end_lease(revoke.id);
                Ok(R::LeaseRevoke(LeaseRevokeResponse { header: self.header() }))
            }
            C::LeaseExpire(expire) => {
                expire.ids.iter().for_each(|id| self.end_lease(*id));
                Ok(R::LeaseExpired(LeaseExpired { revision: self.revision }))
            }
            // Has tables of its own, and nothing to do with keys.
            C::Auth(_) => panic!("the model knows no users"),
            C::LeaseCheckpoint(checkpoint) => {
                for lease in checkpoint.leases {
                    self.leases.entry(lease.id).and_modify(|remaining| *remaining = lease.remaining_seconds);
                }
                Ok(R::LeaseCheckpointed(LeaseCheckpointed {}))
            }
            C::Alarm(change) => Ok(R::ClusterChanged(self.alarm(change))),
            C::Downgrade(_)
            | C::MembersFound(_)
            | C::MemberPublish(_)
            | C::MemberAdd(_)
            | C::MemberRemove(_)
            | C::MemberUpdate(_)
            | C::MemberPromote(_) => panic!("these change no keys; their own files have their tests"),
        }
    }

    fn alarm(&mut self, change: AlarmChange) -> ClusterChanged {
        let AlarmChange { active, member_id, alarm, automatic } = change;
        let place = self.alarms.iter().position(|found| (found.member_id, found.alarm) == (member_id, alarm));
        match place {
            None if active => self.alarms.push(Alarm { member_id, alarm, automatic }),
            Some(place) if active => self.alarms[place].automatic &= automatic,
            Some(place) if !automatic || self.alarms[place].automatic => drop(self.alarms.remove(place)),
            _ => {}
        }
        let cluster = ClusterState { alarms: self.alarms.clone(), ..ClusterState::default() };
        ClusterChanged { cluster: Some(cluster), revision: self.revision }
    }

    /// What an alarm that is active does not allow.
    fn alarmed(&self, command: &C) -> Result<(), Reason> {
        fn puts(txn: &TxnRequest) -> bool {
            txn.success.iter().chain(&txn.failure).any(|operation| match &operation.request {
                Some(Request::RequestTxn(nested)) => puts(nested),
                other => matches!(other, Some(Request::RequestPut(_))),
            })
        }
        let (adds, clients) = match command {
            C::Put(_) | C::LeaseGrant(_) => (true, true),
            C::Txn(txn) => (puts(txn), true),
            C::DeleteRange(_) | C::Compact(_) | C::LeaseRevoke(_) => (false, true),
            _ => (false, false),
        };
        let active = |alarm| self.alarms.iter().any(|found| found.alarm == alarm);
        match () {
            () if clients && active(2) => Err(Reason::Corrupt),
            () if adds && active(1) => Err(Reason::NoSpace),
            () => Ok(()),
        }
    }

    fn newest(&self) -> i64 {
        self.revision + i64::from(!self.events.is_empty())
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: self.newest(), ..ResponseHeader::default() })
    }

    fn seal(&mut self) {
        if !self.events.is_empty() {
            self.revision += 1;
            self.history.insert(self.revision, std::mem::take(&mut self.events));
            self.contents.insert(self.revision, self.now.clone());
        }
    }

    fn check_put(&self, put: &PutRequest) -> Result<(), Reason> {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return Err(Reason::LeaseNotFound);
        }
        if (put.ignore_value || put.ignore_lease) && !self.now.contains_key(&put.key) {
            return Err(Reason::KeyNotFound);
        }
        Ok(())
    }

    fn put(&mut self, put: PutRequest) -> PutResponse {
        let before = self.now.get(&put.key).cloned();
        let revision = self.revision + 1;
        let kept = before.clone().unwrap_or_default();
        let pair = KeyValue {
            key: put.key.clone(),
            create_revision: before.as_ref().map_or(revision, |before| before.create_revision),
            mod_revision: revision,
            version: kept.version + 1,
            value: if put.ignore_value { kept.value } else { put.value },
            lease: if put.ignore_lease { kept.lease } else { put.lease },
        };
        self.now.insert(put.key, pair.clone());
        self.events.push(Event { r#type: 0, kv: Some(pair), prev_kv: before.clone() });
        PutResponse { header: self.header(), prev_kv: before.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let span = Span::new(&delete.key, &delete.range_end);
        let found: Vec<KeyValue> = self.now.values().filter(|pair| span.contains(&pair.key)).cloned().collect();
        for pair in &found {
            self.now.remove(&pair.key);
            let gone = KeyValue { key: pair.key.clone(), mod_revision: self.revision + 1, ..KeyValue::default() };
            // Of a key put and deleted in one transaction only the deletion is told.
            self.events.retain(|event| event.kv.as_ref().is_none_or(|put| put.key != pair.key));
            self.events.push(Event { r#type: 1, kv: Some(gone), prev_kv: Some(pair.clone()) });
        }
        DeleteRangeResponse {
            header: self.header(),
            deleted: found.len() as i64,
            prev_kvs: if delete.prev_kv { found } else { Vec::new() },
        }
    }

    fn end_lease(&mut self, id: i64) {
        if self.leases.remove(&id).is_some() {
            let keys: Vec<Bytes> =
                self.now.values().filter(|pair| pair.lease == id).map(|pair| pair.key.clone()).collect();
            for key in keys {
                self.delete(&DeleteRangeRequest { key, ..DeleteRangeRequest::default() });
            }
            self.seal();
        }
    }

    fn check_txn(&self, txn: &TxnRequest) -> Result<(), Reason> {
        branch(&self.now, txn).iter().try_for_each(|operation| match operation.request.as_ref() {
            Some(Request::RequestRange(range)) if range.revision > self.revision => Err(Reason::FutureRevision),
            Some(Request::RequestRange(range)) if range.revision > 0 && range.revision < self.compacted => {
                Err(Reason::Compacted)
            }
            Some(Request::RequestPut(put)) => self.check_put(put),
            Some(Request::RequestTxn(nested)) => self.check_txn(nested),
            _ => Ok(()),
        })
    }

    fn txn(&mut self, before: &BTreeMap<Bytes, KeyValue>, txn: TxnRequest) -> TxnResponse {
        let succeeded = txn.compare.iter().all(|compare| holds(before, compare));
        let mut responses = Vec::new();
        for operation in branch(before, &txn).to_vec() {
            let response = match operation.request.expect("an operation") {
                Request::RequestRange(range) => Response::ResponseRange(self.range(&range)),
                Request::RequestPut(put) => Response::ResponsePut(self.put(put)),
                Request::RequestDeleteRange(delete) => Response::ResponseDeleteRange(self.delete(&delete)),
                Request::RequestTxn(nested) => Response::ResponseTxn(self.txn(before, nested)),
            };
            responses.push(ResponseOp { response: Some(response) });
        }
        TxnResponse { header: Some(ResponseHeader::default()), succeeded, responses }
    }

    /// Without limits, orders and filters, which have tables of their own.
    fn range(&self, range: &RangeRequest) -> RangeResponse {
        let span = Span::new(&range.key, &range.range_end);
        let content = if range.revision > 0 { &self.contents[&range.revision] } else { &self.now };
        let kvs: Vec<KeyValue> = content.values().filter(|pair| span.contains(&pair.key)).cloned().collect();
        let header = Some(ResponseHeader { revision: self.newest(), ..ResponseHeader::default() });
        RangeResponse { header, count: kvs.len() as i64, kvs, more: false }
    }
}

fn branch<'a>(before: &BTreeMap<Bytes, KeyValue>, txn: &'a TxnRequest) -> &'a [RequestOp] {
    if txn.compare.iter().all(|compare| holds(before, compare)) { &txn.success } else { &txn.failure }
}

fn holds(content: &BTreeMap<Bytes, KeyValue>, compare: &Compare) -> bool {
    let span = Span::new(&compare.key, &compare.range_end);
    let pairs: Vec<&KeyValue> = content.values().filter(|pair| span.contains(&pair.key)).collect();
    let one = |pair: &KeyValue| {
        let order = match compare.target_union.as_ref().expect("an operand") {
            TargetUnion::Version(number) => pair.version.cmp(number),
            TargetUnion::CreateRevision(number) => pair.create_revision.cmp(number),
            TargetUnion::ModRevision(number) => pair.mod_revision.cmp(number),
            TargetUnion::Value(value) => pair.value.cmp(value),
            TargetUnion::Lease(number) => pair.lease.cmp(number),
        };
        match compare.result() {
            CompareResult::Equal => order.is_eq(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
            CompareResult::NotEqual => order.is_ne(),
        }
    };
    if pairs.is_empty() {
        return compare.target() != CompareTarget::Value && one(&KeyValue::default());
    }
    pairs.into_iter().all(one)
}
