//! What a request must satisfy before it is proposed: etcd's own checks, in etcd's order, with etcd's answers.
//!
//! Pure functions over the messages. They never look at the store; preconditions that depend on its content (a lease that
//! exists, a revision that is not compacted) are answered by apply.

mod intervals;

use std::collections::HashSet;

use keelson_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, range_request,
    request_op::Request,
};

use self::intervals::Intervals;
use crate::Error;

/// Most operations in one branch of a transaction, as in etcd. Nested transactions get what their parent left over.
pub const TXN_OPS_MAX: usize = 128;

/// Whether a transaction may add data.
#[must_use]
pub fn txn_may_put(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|operation| match &operation.request {
        Some(Request::RequestPut(_)) => true,
        Some(Request::RequestTxn(nested)) => txn_may_put(nested),
        Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

/// Checks a range.
///
/// # Errors
/// [`Error::KeyNotProvided`] and [`Error::InvalidSortOption`].
pub fn range(request: &RangeRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        return Err(Error::KeyNotProvided);
    }
    if range_request::SortOrder::try_from(request.sort_order).is_err()
        || range_request::SortTarget::try_from(request.sort_target).is_err()
    {
        return Err(Error::InvalidSortOption);
    }
    Ok(())
}

/// Checks a put.
///
/// # Errors
/// [`Error::KeyNotProvided`], [`Error::ValueProvided`] and [`Error::LeaseProvided`].
pub fn put(request: &PutRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        return Err(Error::KeyNotProvided);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

/// Checks a deletion.
///
/// # Errors
/// [`Error::KeyNotProvided`].
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        return Err(Error::KeyNotProvided);
    }
    Ok(())
}

/// Checks a transaction of at most `ops_max` operations with all that is nested in it: sizes and each operation first, then that no key is written twice.
///
/// # Errors
/// [`Error::TooManyOps`], [`Error::DuplicateKey`], [`Error::KeyNotFound`] for an empty operation (etcd's odd choice), and
/// the errors of the single operations.
pub fn txn(request: &TxnRequest, ops_max: usize) -> Result<(), Error> {
    operations(request, ops_max)?;
    written(&request.success)?;
    written(&request.failure)?;
    Ok(())
}

/// Checks a compaction: any revision has a well-formed request, and whether it can be compacted depends on the state.
///
/// # Errors
/// None yet; it is there so that every request has its check.
pub fn compact(_: &CompactionRequest) -> Result<(), Error> {
    Ok(())
}

/// Whether a transaction writes nothing, whichever way its comparisons go.
pub fn txn_is_read_only(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|operation| match &operation.request {
        Some(Request::RequestRange(_)) | None => true,
        Some(Request::RequestTxn(nested)) => txn_is_read_only(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => false,
    })
}

fn operations(request: &TxnRequest, budget: usize) -> Result<(), Error> {
    let used = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = budget.checked_sub(used).ok_or(Error::TooManyOps)?;
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Error::KeyNotProvided);
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Request::RequestTxn(request)) => operations(request, left)?,
            None => return Err(Error::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys that one branch puts and the ranges that it deletes.
#[derive(Default)]
struct Written<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Intervals<'a>,
}

/// Collects what a branch writes. Deletes of this level come first, then what nested transactions write, then the puts
/// of this level. A key may be put in both branches of one nested transaction, since only one of them runs.
fn written(branch: &[RequestOp]) -> Result<Written<'_>, Error> {
    let mut all = Written::default();
    for operation in branch {
        if let Some(Request::RequestDeleteRange(delete)) = &operation.request {
            all.deletes.insert(&delete.key, &delete.range_end);
        }
    }
    for operation in branch {
        let Some(Request::RequestTxn(nested)) = &operation.request else { continue };
        let success = written(&nested.success)?;
        let failure = written(&nested.failure)?;
        for &key in &success.puts {
            all.put(key)?;
        }
        for &key in failure.puts.iter().filter(|key| !success.puts.contains(*key)) {
            all.put(key)?;
        }
        all.deletes.append(success.deletes);
        all.deletes.append(failure.deletes);
    }
    for operation in branch {
        if let Some(Request::RequestPut(put)) = &operation.request {
            all.put(&put.key)?;
        }
    }
    Ok(all)
}

impl<'a> Written<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), Error> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(Error::DuplicateKey);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
