//! Put: writes one key.

use bytes::Bytes;
use keelson_proto::etcdserverpb::{PutRequest, PutResponse};
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::Checked;
use super::context::Context;
use crate::state::Error;

pub(super) fn apply(context: &mut Context<'_>, request: PutRequest) -> Checked<PutResponse> {
    if let Err(reason) = check(context, &request)? {
        return Ok(Err(reason));
    }
    let response = execute(context, request)?;
    context.seal();
    Ok(Ok(response))
}

/// Whether the lease exists, and the key whose value or lease is to be kept.
pub(super) fn check(context: &mut Context<'_>, request: &PutRequest) -> Checked<()> {
    if request.lease != 0 && context.lease(request.lease).is_none() {
        return Ok(Err(Reason::LeaseNotFound));
    }
    if (request.ignore_value || request.ignore_lease) && context.get(&request.key, false)?.is_none() {
        return Ok(Err(Reason::KeyNotFound));
    }
    Ok(Ok(()))
}

/// Writes what [`check`] passed.
pub(super) fn execute(context: &mut Context<'_>, request: PutRequest) -> Result<PutResponse, Error> {
    let with_value = request.prev_kv || request.ignore_value || context.wants_prev_kv();
    let before = context.get(&request.key, with_value)?;
    let kept = before.as_ref();
    let value =
        if request.ignore_value { kept.map_or_else(Bytes::new, |pair| pair.value.clone()) } else { request.value };
    let lease = if request.ignore_lease { kept.map_or(0, |pair| pair.lease) } else { request.lease };
    let prev_kv = if request.prev_kv { before.clone() } else { None };
    context.put(request.key, value, lease, before);
    Ok(PutResponse { header: context.header(), prev_kv })
}
