//! LeaseExpire: deletes leases whose time ran out, each with its keys in a revision of its own.
//!
//! Leases that are gone are passed over: the leader may report one again before it has seen the first report applied.

use keelson_proto::keelson::store::v1::{LeaseExpire, LeaseExpired};

use super::context::Context;
use super::{Checked, lease_revoke};

pub(super) fn apply(context: &mut Context<'_>, request: &LeaseExpire) -> Checked<LeaseExpired> {
    for id in &request.ids {
        if context.lease(*id).is_some() {
            lease_revoke::execute(context, *id)?;
        }
    }
    Ok(Ok(LeaseExpired { revision: context.revision() }))
}
