//! How what went wrong is told: store errors as Kubernetes statuses, and those as gRPC codes. HTTP codes are in the status
//! itself.
//!
//! **Invariant**: a write whose outcome is unknown is never told as refused.

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_store::Error;
use keelson_types::status::{Reason, Status};
use prost::Message as _;
use tonic::Code;

/// `type_url` of the one detail that every gRPC error of ours carries.
pub const STATUS_TYPE_URL: &str = "type.googleapis.com/keelson.api.v1.Status";

/// When to ask again, where nothing was done.
pub const RETRY_SECONDS: u32 = 1;

/// google.rpc.Status, which `grpc-status-details-bin` holds.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// google.protobuf.Any.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// A store error of a read.
pub fn of_read(error: Error) -> Status {
    match error {
        Error::Compacted { requested, compacted } => Status::too_old_resource_version(requested, compacted),
        Error::FutureRevision { requested, current } => {
            Status::timeout(format_args!("Too large resource version: {requested}, current: {current}"))
                .with_retry_after(RETRY_SECONDS)
        }
        Error::Unknown => Status::timeout("the store did not answer in time").with_retry_after(RETRY_SECONDS),
        error => of_write(error, 0),
    }
}

/// A store error of a write that carried `fence_term`, or 0.
pub fn of_write(error: Error, fence_term: u64) -> Status {
    match error {
        Error::Fenced { term, .. } => Status::fenced(fence_term, term),
        // Both leave the write in the log of a leader that may still commit it.
        Error::Unknown => Status::unknown_outcome("the store did not answer in time"),
        Error::Timeout => Status::unknown_outcome("the store did not answer in time"),
        Error::TooLarge => Status::request_entity_too_large(crate::pipeline::OBJECT_BYTES_MAX),
        Error::TooManyRequests => Status::too_many_requests("the store has too many requests in flight", 1),
        Error::NoSpace => {
            Status::new(Reason::InternalError, "the store is out of disk space; free some, then try again")
        }
        Error::NoLeader | Error::LeaderChanged | Error::NotLeader => {
            let why = "the cluster has no leader right now; nothing was written, try again";
            Status::unavailable(why).with_retry_after(RETRY_SECONDS)
        }
        Error::Stopped => Status::unavailable("this member is stopping; nothing was written, try another"),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            Status::internal(error)
        }
    }
}

/// The gRPC code of a status.
pub fn grpc_code(reason: Reason) -> Code {
    match reason {
        Reason::BadRequest
        | Reason::Invalid
        | Reason::UnsupportedMediaType
        | Reason::NotAcceptable
        | Reason::RequestEntityTooLarge => Code::InvalidArgument,
        Reason::Unauthorized => Code::Unauthenticated,
        Reason::Forbidden => Code::PermissionDenied,
        Reason::NotFound => Code::NotFound,
        Reason::MethodNotAllowed | Reason::NotImplemented => Code::Unimplemented,
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::Conflict => Code::Aborted,
        Reason::Gone | Reason::Expired => Code::OutOfRange,
        Reason::Fenced => Code::FailedPrecondition,
        Reason::TooManyRequests => Code::ResourceExhausted,
        Reason::ServiceUnavailable => Code::Unavailable,
        Reason::Timeout | Reason::ServerTimeout => Code::DeadlineExceeded,
        Reason::UnknownOutcome | Reason::Unknown => Code::Unknown,
        Reason::InternalError => Code::Internal,
    }
}

/// A status as a gRPC error, with the whole of it in the details.
pub fn grpc(status: &Status) -> tonic::Status {
    grpc_with(grpc_code(status.reason), status)
}

/// The same with a code that says more than the reason does.
pub fn grpc_with(code: Code, status: &Status) -> tonic::Status {
    let about = status.details.as_deref().cloned().unwrap_or_default();
    let detail = proto::Status {
        reason: status.reason.as_str().to_owned(),
        message: status.message.clone(),
        code: i32::from(status.code),
        group: about.group,
        kind: about.kind,
        name: about.name,
        uid: about.uid,
        causes: about
            .causes
            .into_iter()
            .map(|cause| proto::status::Cause { reason: cause.reason, message: cause.message, field: cause.field })
            .collect(),
        retry_after_seconds: i32::try_from(about.retry_after_seconds).unwrap_or(i32::MAX),
        r#continue: status.continue_token.to_string(),
    };
    let details = RpcStatus {
        code: code as i32,
        message: status.message.clone(),
        details: vec![Any { type_url: STATUS_TYPE_URL.to_owned(), value: detail.encode_to_vec() }],
    };
    tonic::Status::with_details(code, status.message.clone(), Bytes::from(details.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_status_is_in_the_details() {
        let status = Status::not_found("apps", "deployments", "web");
        let error = grpc(&status);
        assert_eq!(error.code(), Code::NotFound);
        let details = RpcStatus::decode(error.details()).expect("decodes");
        assert_eq!(details.code, Code::NotFound as i32);
        assert_eq!(details.details[0].type_url, STATUS_TYPE_URL);
        let detail = proto::Status::decode(details.details[0].value.as_slice()).expect("decodes");
        assert_eq!((detail.reason.as_str(), detail.code), ("NotFound", 404));
        assert_eq!((detail.group.as_str(), detail.kind.as_str(), detail.name.as_str()), ("apps", "deployments", "web"));
    }

    #[test]
    fn an_unknown_outcome_is_never_told_as_refused() {
        for error in [Error::Unknown, Error::Timeout] {
            let status = of_write(error, 0);
            assert_eq!(status.reason, Reason::UnknownOutcome);
            assert_eq!(grpc_code(status.reason), Code::Unknown);
        }
    }
}
