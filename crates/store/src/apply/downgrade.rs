//! Downgrade: notes that one is wanted, or no longer.

use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{Downgrade, DowngradeChange};

use super::ClusterAnswer;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: DowngradeChange) -> ClusterAnswer {
    let wanted = (!request.target_version.is_empty()).then_some(Downgrade { target_version: request.target_version });
    match (&context.cluster().downgrade, &wanted) {
        (Some(_), Some(_)) => Err(Reason::DowngradeInProgress),
        (None, None) => Err(Reason::NoDowngrade),
        _ => Ok(context.change_cluster(|cluster| cluster.downgrade = wanted)),
    }
}
