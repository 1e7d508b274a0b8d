//! Compact: declares superseded versions up to a revision gone.
//!
//! Only the number is replicated. Files shrink later and at each member's own pace (see [`crate::mvcc::compaction`]).

use keelson_proto::etcdserverpb::{CompactionRequest, CompactionResponse};
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::Checked;
use super::context::Context;

pub(super) fn apply(context: &mut Context<'_>, request: &CompactionRequest) -> Checked<CompactionResponse> {
    if request.revision <= context.compacted() {
        return Ok(Err(Reason::Compacted));
    }
    if request.revision > context.revision() {
        return Ok(Err(Reason::FutureRevision));
    }
    context.set_compacted(request.revision);
    Ok(Ok(CompactionResponse { header: context.header() }))
}
