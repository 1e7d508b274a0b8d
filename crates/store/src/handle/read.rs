//! Local reads: where they run, and what a transaction may do.

use keelson_proto::etcdserverpb::{
    RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse, request_op::Request,
};

use crate::state::Reader;
use crate::{Error, machine};

/// Runs `work` where it may block on the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    machine::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}

/// One key is read at once: a lookup costs less than changing threads.
pub(super) async fn range(reader: &Reader, request: RangeRequest) -> Result<RangeResponse, Error> {
    if request.range_end.is_empty() {
        return reader.range(&request);
    }
    let reader = reader.clone();
    blocking(move || reader.range(&request)).await
}

pub(super) async fn txn(reader: &Reader, request: TxnRequest) -> Result<TxnResponse, Error> {
    let reader = reader.clone();
    blocking(move || reader.read_txn(&request)).await
}

/// Whether every read of a transaction that only reads is serializable.
pub(super) fn all_serializable(request: &TxnRequest) -> bool {
    operations(request).all(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => range.serializable,
        Some(Request::RequestTxn(nested)) => all_serializable(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

fn operations(request: &TxnRequest) -> impl Iterator<Item = &RequestOp> {
    request.success.iter().chain(&request.failure)
}
