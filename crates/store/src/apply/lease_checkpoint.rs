//! LeaseCheckpoint: records how much time leases have left, for the next leader. Leases that are gone are passed over.

use keelson_proto::keelson::store::v1::{LeaseCheckpoint, LeaseCheckpointed};

use super::Checked;
use super::context::Context;
use crate::lease::Lease;

pub(super) fn apply(context: &mut Context<'_>, request: &LeaseCheckpoint) -> Checked<LeaseCheckpointed> {
    for remaining in &request.leases {
        if let Some(lease) = context.lease(remaining.id) {
            context.set_lease(Lease { remaining_seconds: remaining.remaining_seconds, ..lease });
        }
    }
    Ok(Ok(LeaseCheckpointed {}))
}
