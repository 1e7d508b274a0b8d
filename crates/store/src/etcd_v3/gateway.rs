//! The etcd API as JSON over plain HTTP: `POST /v3/…`, or a WebSocket there, for clients without gRPC.
//!
//! A request becomes the same call that a gRPC client would make, answered by the same services behind the same checks; JSON
//! is made from the messages' descriptors, so that a method needs a path in [`routes`] and nothing else.
//!
//! **Invariants**: a call of the gateway carries the token of its `Authorization` header and no certificate; a request's
//! body, and how deep it nests, are bounded.

mod input;
mod output;
mod routes;
mod status;
mod websocket;

use http::header::{ALLOW, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;

use self::output::Messages;
use self::routes::Route;
pub(super) use self::routes::Routes;
use super::dispatch::Dispatch;
use super::http::{method_not_allowed, text};
use super::measure::{Received, Source};

/// What the paths of the gateway begin with; the second is etcd 3.4's and 3.5's, too.
pub(super) const PREFIXES: [&str; 2] = ["/v3/", "/v3beta/"];
/// JSON writes bytes in base64, and names its fields.
const JSON_OVERHEAD_FACTOR: usize = 2;
/// Headers that begin so are metadata of the call, without it.
const METADATA_PREFIX: &str = "grpc-metadata-";
/// Where the services look for the token of a user.
const TOKEN: HeaderName = HeaderName::from_static("token");

/// Answers a request of which the path begins with one of [`PREFIXES`].
pub(super) async fn answer(dispatch: Dispatch, request: Request<Received>) -> Response<Body> {
    let Some(route) = dispatch.gateway().find(request.uri().path()).cloned() else {
        return text(StatusCode::NOT_FOUND, "Not Found\n");
    };
    if websocket::is_asked(request.headers()) {
        return websocket::answer(dispatch, route, request);
    }
    if request.method() == Method::OPTIONS {
        // A browser that asks is told nothing that would let pages of other origins in.
        return options();
    }
    if request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let (head, body) = request.into_parts();
    match call(&dispatch, &route, &head.headers, body).await {
        Ok(response) => response,
        Err(status) => status::response(&status),
    }
}

fn options() -> Response<Body> {
    let mut response = text(StatusCode::OK, "");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    response
}

/// The largest request as JSON.
fn bytes_max(dispatch: &Dispatch) -> usize {
    dispatch.front().message_bytes_max().saturating_mul(JSON_OVERHEAD_FACTOR)
}

async fn call(
    dispatch: &Dispatch,
    route: &Route,
    headers: &HeaderMap,
    body: Received,
) -> Result<Response<Body>, Status> {
    let bytes_max = bytes_max(dispatch);
    let message = route.method.input();
    let body = if route.method.is_client_streaming() {
        input::stream(body, message, bytes_max, route.outlives_requests)
    } else {
        input::one(body, message, bytes_max).await?
    };
    let mut call = Request::new(Source::Gateway(body));
    *call.method_mut() = Method::POST;
    *call.version_mut() = http::Version::HTTP_2;
    *call.uri_mut() = route.call_path.clone();
    metadata(headers, call.headers_mut());
    let Ok(response) = dispatch.counted(call).await;
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let messages = Messages::new(body, route.method.output());
    if route.method.is_server_streaming() { output::stream(messages).await } else { output::one(messages).await }
}

/// What of the request's headers the call has.
fn metadata(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let name = name.as_str().strip_prefix(METADATA_PREFIX).and_then(|name| HeaderName::try_from(name).ok());
        if let Some(name) = name {
            to.append(name, value.clone());
        }
    }
    if let Some(token) = from.get(AUTHORIZATION) {
        to.insert(TOKEN, token.clone());
        to.insert(AUTHORIZATION, token.clone());
    }
    to.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    to.insert(http::header::TE, HeaderValue::from_static("trailers"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_and_marked_headers_become_metadata_and_nothing_else_does() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("authorization", "token-of-jane"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-content-type", "application/x"),
            ("cookie", "secret"),
            ("hasleader", "false"),
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut to = HeaderMap::new();
        metadata(&from, &mut to);
        assert_eq!(to["token"], "token-of-jane");
        assert_eq!(to["hasleader"], "true");
        assert_eq!(to["content-type"], "application/grpc");
        assert!(!to.contains_key("cookie"));
    }
}
