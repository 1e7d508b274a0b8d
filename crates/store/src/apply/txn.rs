//! Txn: compares, then does one of two lists of operations, all in one revision.
//!
//! As in etcd, all comparisons, those of nested transactions included, are made on the state before the transaction; so
//! are the checks of its operations. Only then it is carried out, and its reads see its earlier writes.

use keelson_proto::etcdserverpb::compare::CompareTarget;
use keelson_proto::etcdserverpb::{
    Compare, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, request_op, response_op,
};

use super::context::Context;
use super::{Checked, compare, delete_range, put};
use crate::mvcc::span::Span;
use crate::state::Error;

pub(super) fn apply(context: &mut Context<'_>, request: TxnRequest) -> Checked<TxnResponse> {
    let mut path = Vec::new();
    take_path(context, &request, &mut path)?;
    let mut steps = path.iter().copied();
    if let Err(reason) = check(context, &request, &mut steps)? {
        return Ok(Err(reason));
    }
    let mut response = execute(context, request, &mut path.into_iter())?;
    response.header = context.header();
    context.seal();
    Ok(Ok(response))
}

/// Appends which branch each transaction takes, in the order in which they are met.
fn take_path(context: &mut Context<'_>, request: &TxnRequest, path: &mut Vec<bool>) -> Result<(), Error> {
    let mut succeeded = true;
    for compare in &request.compare {
        if !holds(context, compare)? {
            succeeded = false;
            break;
        }
    }
    path.push(succeeded);
    for operation in branch(request, succeeded) {
        if let Some(request_op::Request::RequestTxn(nested)) = &operation.request {
            take_path(context, nested, path)?;
        }
    }
    Ok(())
}

fn holds(context: &mut Context<'_>, compare: &Compare) -> Result<bool, Error> {
    match Span::new(&compare.key, &compare.range_end) {
        // What is not compared with a value is known without a look at the disk when the key was written lately.
        Span::One(key) => {
            let with_value = compare.target() == CompareTarget::Value;
            Ok(compare::holds_for(compare, context.get(&key, with_value)?.as_ref()))
        }
        span => compare::holds(compare, context.scan(span, context.revision())?),
    }
}

fn branch(request: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &request.success } else { &request.failure }
}

fn check(context: &mut Context<'_>, request: &TxnRequest, path: &mut impl Iterator<Item = bool>) -> Checked<()> {
    let succeeded = path.next().unwrap_or_default();
    for operation in branch(request, succeeded) {
        let checked = match &operation.request {
            Some(request_op::Request::RequestRange(range)) => context.check_revision(range.revision),
            Some(request_op::Request::RequestPut(put)) => put::check(context, put)?,
            Some(request_op::Request::RequestTxn(nested)) => check(context, nested, path)?,
            Some(request_op::Request::RequestDeleteRange(_)) | None => Ok(()),
        };
        if checked.is_err() {
            return Ok(checked);
        }
    }
    Ok(Ok(()))
}

fn execute(
    context: &mut Context<'_>,
    request: TxnRequest,
    path: &mut impl Iterator<Item = bool>,
) -> Result<TxnResponse, Error> {
    let succeeded = path.next().unwrap_or_default();
    let operations = if succeeded { request.success } else { request.failure };
    let mut responses = Vec::with_capacity(operations.len());
    for operation in operations {
        let response = match operation.request {
            Some(request_op::Request::RequestRange(range)) => {
                Some(response_op::Response::ResponseRange(context.range(&range)?))
            }
            Some(request_op::Request::RequestPut(put)) => {
                Some(response_op::Response::ResponsePut(put::execute(context, put)?))
            }
            Some(request_op::Request::RequestDeleteRange(delete)) => {
                Some(response_op::Response::ResponseDeleteRange(delete_range::execute(context, &delete)?))
            }
            Some(request_op::Request::RequestTxn(nested)) => {
                Some(response_op::Response::ResponseTxn(execute(context, nested, path)?))
            }
            None => None,
        };
        responses.push(ResponseOp { response });
    }
    Ok(TxnResponse { header: Some(ResponseHeader::default()), succeeded, responses })
}
