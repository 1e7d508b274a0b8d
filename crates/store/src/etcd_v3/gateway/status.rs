//! A call's failure as HTTP and JSON know it.

use http::{Response, StatusCode};
use serde_json::json;
use tonic::body::Body;
use tonic::{Code, Status};

/// grpc-gateway's choice for each code.
fn http(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A failed call.
pub(super) fn response(status: &Status) -> Response<Body> {
    let (code, message) = (i32::from(status.code()), status.message());
    super::super::http::json(http(status.code()), &json!({"error": message, "code": code, "message": message}))
}

/// A failure after answers were sent already: the last line of the stream.
pub(super) fn line(status: &Status) -> Vec<u8> {
    let http = http(status.code());
    let error = json!({
        "grpc_code": i32::from(status.code()),
        "http_code": http.as_u16(),
        "message": status.message(),
        "http_status": http.canonical_reason().unwrap_or_default(),
    });
    let mut line = json!({ "error": error }).to_string().into_bytes();
    line.push(b'\n');
    line
}
