//! Plans as one transaction of the store.

use std::collections::BTreeMap;

use bytes::Bytes;
use keelson_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
};
use keelson_types::status::Status;

use crate::pipeline::TXN_BYTES_MAX;
use crate::pipeline::plan::{Guard, Plan, Write};

/// One transaction of all the plans.
pub(super) fn transaction(plans: &[Plan]) -> Result<TxnRequest, Status> {
    let mut guards: BTreeMap<&str, i64> = BTreeMap::new();
    for Guard { key, mod_revision } in plans.iter().flat_map(|plan| &plan.guards) {
        if guards.insert(key, *mod_revision).is_some_and(|other| other != *mod_revision) {
            // Two operations saw different states of one object: the cache moved between them.
            return Err(Status::too_many_requests("the objects are changing too fast, please try again", 1));
        }
    }
    let compare = guards
        .into_iter()
        .map(|(key, mod_revision)| Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: Bytes::from(key.to_owned()),
            range_end: Bytes::new(),
            target_union: Some(TargetUnion::ModRevision(mod_revision)),
        })
        .collect();
    let writes = plans.iter().flat_map(|plan| &plan.writes);
    let bytes: usize = writes.clone().map(|(_, write)| write.size_bytes()).sum();
    if bytes > TXN_BYTES_MAX {
        return Err(Status::request_entity_too_large(TXN_BYTES_MAX));
    }
    let success = writes.map(|(key, write)| RequestOp { request: Some(request(key, write)) }).collect();
    Ok(TxnRequest { compare, success, failure: Vec::new() })
}

fn request(key: &str, write: &Write) -> Request {
    let key = Bytes::from(key.to_owned());
    match write {
        Write::Put { value, lease } => {
            Request::RequestPut(PutRequest { key, value: value.clone(), lease: *lease, ..PutRequest::default() })
        }
        Write::Delete => Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
    }
}
