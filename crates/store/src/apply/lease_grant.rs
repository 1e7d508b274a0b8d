//! LeaseGrant: creates a lease.

use keelson_proto::etcdserverpb::LeaseGrantResponse;
use keelson_proto::keelson::store::v1::LeaseGrant;
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::Checked;
use super::context::Context;
use crate::lease::Lease;

pub(super) fn apply(context: &mut Context<'_>, request: &LeaseGrant) -> Checked<LeaseGrantResponse> {
    if context.lease(request.id).is_some() {
        return Ok(Err(Reason::LeaseExists));
    }
    context.set_lease(Lease { id: request.id, ttl_seconds: request.ttl_seconds, remaining_seconds: 0 });
    Ok(Ok(LeaseGrantResponse {
        header: context.header(),
        id: request.id,
        ttl: request.ttl_seconds,
        error: String::new(),
    }))
}
