//! LeaseRevoke: deletes a lease and, in one revision, its keys.

use keelson_proto::etcdserverpb::LeaseRevokeResponse;
use keelson_proto::keelson::store::v1::LeaseRevoke;
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::Checked;
use super::context::Context;
use crate::state::Error;

pub(super) fn apply(context: &mut Context<'_>, request: &LeaseRevoke) -> Checked<LeaseRevokeResponse> {
    if context.lease(request.id).is_none() {
        return Ok(Err(Reason::LeaseNotFound));
    }
    execute(context, request.id)?;
    Ok(Ok(LeaseRevokeResponse { header: context.header() }))
}

/// Deletes a lease that exists.
pub(super) fn execute(context: &mut Context<'_>, id: i64) -> Result<(), Error> {
    for key in context.lease_keys(id)? {
        if let Some(before) = context.get(&key, context.wants_prev_kv())? {
            context.delete(before);
        }
    }
    context.remove_lease(id);
    context.seal();
    Ok(())
}
