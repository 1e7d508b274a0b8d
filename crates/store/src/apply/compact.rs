//! Compact: declares superseded versions up to a revision gone.
//!
//! Only the number is replicated. Files shrink later and at each member's own pace (see [`crate::mvcc::compaction`]), or at once
//! when the compaction is to be physical (see [`crate::state::Reader`]).

use keelson_proto::etcdserverpb::{CompactionRequest, CompactionResponse};
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::Checked;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: &CompactionRequest) -> Checked<CompactionResponse> {
    // As etcd counts: what was never compacted can be at 0, which takes nothing away.
    let nothing = request.revision == 0 && context.compacted() == 0;
    if request.revision <= context.compacted() && !nothing {
        return Ok(Err(Reason::Compacted));
    }
    if request.revision > context.revision() {
        return Ok(Err(Reason::FutureRevision));
    }
    context.set_compacted(request.revision);
    if request.physical && !nothing {
        context.reclaim();
    }
    Ok(Ok(CompactionResponse { header: context.header() }))
}
