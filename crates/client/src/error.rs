//! What can go wrong between a caller and the API, and how a gRPC status is read.
//!
//! The one distinction that matters most: a write that was refused or never sent is told apart from a write whose outcome
//! nobody knows. `refusal` decides it, and decides for *unknown* whenever it is not sure.

use std::error::Error as _;

use keelson_proto::keelson::api::v1 as proto;
use keelson_types::status::{Cause, Details, Reason, Status};
use prost::Message as _;
use tonic::Code;

/// The type URL of the detail that carries Kubernetes' form of an error.
const STATUS_TYPE_URL: &str = "type.googleapis.com/keelson.api.v1.Status";

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused; nothing was written.
    #[error("{0}")]
    Api(Status),
    /// No member could serve the request in time; nothing was written.
    #[error("no member of the control plane is available at {endpoints}")]
    Unavailable {
        /// The endpoints that were tried, comma-separated.
        endpoints: String,
        #[source]
        source: Option<tonic::Status>,
    },
    /// The write may or may not have happened: read before writing again.
    #[error("the outcome of the write is unknown: {detail}")]
    Unknown { detail: String },
    /// A response that cannot be read as what was asked for.
    #[error("the response is not a valid {what}")]
    Decode {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// A response without a part that it must have.
    #[error("the response lacks {what}")]
    Incomplete { what: &'static str },
    /// An object that has no JSON form.
    #[error("cannot encode a {what}")]
    Encode {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// The options name no usable endpoint.
    #[error("invalid endpoint {endpoint:?}: {detail}")]
    Endpoint { endpoint: String, detail: String },
    /// The certificates cannot be used.
    #[error("the CA, certificate or key cannot be used")]
    Tls {
        #[source]
        source: tonic::transport::Error,
    },
}

impl Error {
    /// The API's refusal, if it is one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            _ => None,
        }
    }

    /// The reason of the API's refusal; [`Reason::Unknown`] for anything else.
    pub fn reason(&self) -> Reason {
        self.status().map_or(Reason::Unknown, |status| status.reason)
    }

    pub fn is_not_found(&self) -> bool {
        self.reason() == Reason::NotFound
    }

    /// Whether the server does not know such a request: it may be of an earlier release.
    pub fn is_unimplemented(&self) -> bool {
        self.reason() == Reason::NotImplemented
    }

    pub fn is_conflict(&self) -> bool {
        self.reason() == Reason::Conflict
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason() == Reason::AlreadyExists
    }

    /// The caller no longer leads in the term of its fence.
    pub fn is_fenced(&self) -> bool {
        self.reason() == Reason::Fenced
    }

    /// The revision asked for is compacted: list again.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), Reason::Expired | Reason::Gone)
    }

    pub fn is_invalid(&self) -> bool {
        self.reason() == Reason::Invalid
    }

    pub fn is_forbidden(&self) -> bool {
        self.reason() == Reason::Forbidden
    }

    /// The write may or may not have happened.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// No member could serve the request.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// What a failed attempt says about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The endpoint could not be reached; nothing was sent.
    Unreachable,
    /// This member surely did not do it, another one may.
    NotDone,
    /// Nobody knows whether it was done.
    Unknown,
    /// The answer: every member would say the same.
    Final,
}

/// Reads a failed attempt. Errors that this side made have a source; a status that the server sent has none.
pub(crate) fn refusal(status: &tonic::Status) -> Refusal {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return Refusal::Unreachable;
        }
        // hyper's word for a request that it gave up before handing it to a connection.
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return Refusal::NotDone;
        }
        source = error.source();
    }
    if status.source().is_some() {
        return Refusal::Unknown;
    }
    match decode_detail(status) {
        Some(detail) => match Reason::from_word(&detail.reason) {
            Reason::ServiceUnavailable | Reason::TooManyRequests => Refusal::NotDone,
            Reason::UnknownOutcome | Reason::Timeout | Reason::ServerTimeout => Refusal::Unknown,
            _ => Refusal::Final,
        },
        // Without our own detail the answer comes from the transport or from something in between.
        None => match status.code() {
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown | Code::Internal => {
                Refusal::Unknown
            }
            _ => Refusal::Final,
        },
    }
}

/// The status as Kubernetes tells it; built from the gRPC code when the details carry none.
pub(crate) fn decode(status: &tonic::Status) -> Status {
    if let Some(detail) = decode_detail(status) {
        return from_detail(detail);
    }
    let reason = match status.code() {
        Code::InvalidArgument => Reason::BadRequest,
        Code::NotFound => Reason::NotFound,
        Code::AlreadyExists => Reason::AlreadyExists,
        Code::PermissionDenied => Reason::Forbidden,
        Code::Unauthenticated => Reason::Unauthorized,
        Code::ResourceExhausted => Reason::TooManyRequests,
        Code::Aborted => Reason::Conflict,
        Code::OutOfRange => Reason::Expired,
        Code::Unimplemented => Reason::NotImplemented,
        Code::Unavailable => Reason::ServiceUnavailable,
        Code::DeadlineExceeded => Reason::Timeout,
        Code::Ok | Code::Cancelled | Code::Unknown | Code::FailedPrecondition | Code::Internal | Code::DataLoss => {
            Reason::InternalError
        }
    };
    Status::new(reason, status.message())
}

/// The detail of our own type inside the `google.rpc.Status` of `grpc-status-details-bin`.
fn decode_detail(status: &tonic::Status) -> Option<proto::Status> {
    if status.details().is_empty() {
        return None;
    }
    let rich = RpcStatus::decode(status.details()).ok()?;
    let detail = rich.details.iter().find(|any| any.type_url == STATUS_TYPE_URL)?;
    proto::Status::decode(detail.value.as_slice()).ok()
}

fn from_detail(detail: proto::Status) -> Status {
    let reason = Reason::from_word(&detail.reason);
    let causes: Vec<Cause> = detail
        .causes
        .into_iter()
        .map(|cause| Cause { reason: cause.reason, message: cause.message, field: cause.field })
        .collect();
    let details = Details {
        name: detail.name,
        group: detail.group,
        kind: detail.kind,
        uid: detail.uid,
        causes,
        retry_after_seconds: u32::try_from(detail.retry_after_seconds).unwrap_or_default(),
    };
    Status {
        continue_token: detail.r#continue.into(),
        reason,
        message: detail.message,
        code: u16::try_from(detail.code).ok().filter(|code| *code != 0).unwrap_or_else(|| reason.code()),
        details: (details != Details::default()).then(|| Box::new(details)),
    }
}

/// `google.rpc.Status`: what the binary details of a gRPC status hold by convention.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}
