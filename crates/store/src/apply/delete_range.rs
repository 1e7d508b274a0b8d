//! DeleteRange: deletes the keys of a range, all in one revision; none when there are no keys.

use keelson_proto::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse};

use super::Checked;
use super::context::Context;
use crate::mvcc::span::Span;
use crate::state::Error;

pub(super) fn apply(context: &mut Context<'_>, request: &DeleteRangeRequest) -> Checked<DeleteRangeResponse> {
    let response = execute(context, request)?;
    context.seal();
    Ok(Ok(response))
}

pub(super) fn execute(context: &mut Context<'_>, request: &DeleteRangeRequest) -> Result<DeleteRangeResponse, Error> {
    let found = context.delete_span(Span::new(&request.key, &request.range_end), request.prev_kv)?;
    Ok(DeleteRangeResponse {
        header: context.header(),
        deleted: found.len() as i64,
        prev_kvs: if request.prev_kv { found } else { Vec::new() },
    })
}
