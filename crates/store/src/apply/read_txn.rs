//! A transaction that only reads, answered without the log at one revision.

use keelson_proto::etcdserverpb::{
    RangeRequest, RangeResponse, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, request_op, response_op,
};
use keelson_proto::keelson::store::v1::refusal::Reason;

use super::context::check_revision;
use super::{Checked, compare};
use crate::mvcc::range;
use crate::mvcc::scan::Scan;
use crate::mvcc::span::Span;
use crate::state::Error;
use crate::state::columns::Columns;
use crate::state::generation::Generation;

/// Answers `request` at `revision`. Operations that write have no response: callers check before.
pub(crate) fn execute(generation: &Generation, request: &TxnRequest, revision: i64) -> Checked<TxnResponse> {
    let columns = generation.columns()?;
    let response = Read { generation, columns, revision }.txn(request)?;
    Ok(response.map(|response| {
        let header = ResponseHeader { revision, ..ResponseHeader::default() };
        TxnResponse { header: Some(header), ..response }
    }))
}

struct Read<'a> {
    generation: &'a Generation,
    columns: Columns<'a>,
    revision: i64,
}

impl Read<'_> {
    fn txn(&self, request: &TxnRequest) -> Checked<TxnResponse> {
        let mut succeeded = true;
        for compare in &request.compare {
            let span = Span::new(&compare.key, &compare.range_end);
            if !compare::holds(compare, self.scan(span, self.revision)?)? {
                succeeded = false;
                break;
            }
        }
        let operations = if succeeded { &request.success } else { &request.failure };
        let mut responses = Vec::with_capacity(operations.len());
        for operation in operations {
            let response = match &operation.request {
                Some(request_op::Request::RequestRange(range)) => {
                    self.range(range)?.map(response_op::Response::ResponseRange)
                }
                Some(request_op::Request::RequestTxn(nested)) => {
                    self.txn(nested)?.map(response_op::Response::ResponseTxn)
                }
                Some(request_op::Request::RequestPut(_) | request_op::Request::RequestDeleteRange(_)) | None => {
                    responses.push(ResponseOp::default());
                    continue;
                }
            };
            match response {
                Ok(response) => responses.push(ResponseOp { response: Some(response) }),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(TxnResponse { header: Some(ResponseHeader::default()), succeeded, responses }))
    }

    fn range(&self, request: &RangeRequest) -> Checked<RangeResponse> {
        let at = if request.revision > 0 { request.revision } else { self.revision };
        let scan = self.scan(Span::new(&request.key, &request.range_end), at)?;
        // Checked now that the scan has pinned the files: a compaction may come at any time.
        if let Err(reason) = check_revision(request.revision, self.revision, self.generation.figures.compacted()) {
            return Ok(Err(reason));
        }
        Ok(Ok(range::execute(scan, request, self.revision)?))
    }

    fn scan(&self, span: Span, revision: i64) -> Result<Scan<'_>, Error> {
        Scan::new(self.columns.db, self.columns.data, None, span, revision, true)
    }
}

/// The error that a refused read ends with.
pub(crate) fn error(reason: Reason, revision: i64, compacted: i64) -> crate::Error {
    match reason {
        Reason::Compacted => crate::Error::Compacted { requested: 0, compacted },
        Reason::FutureRevision => crate::Error::FutureRevision { requested: 0, current: revision },
        other => crate::Error::Internal(format!("a read was refused: {}", other.as_str_name())),
    }
}
