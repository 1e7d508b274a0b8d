//! Answers: documents, statuses and streams, with the headers that every answer carries.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, VARY, WARNING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use keelson_types::status::Status;

use super::discovery::Document;
use super::gzip::Live;
use super::media::Media;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Clients may not keep answers: what they show depends on who asks and when.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");

/// JSON text with a code.
pub(super) fn json(code: StatusCode, body: impl Into<Body>) -> Response {
    with_type(code, JSON, body.into())
}

pub(super) fn text(code: StatusCode, body: impl Into<Body>) -> Response {
    with_type(code, HeaderValue::from_static("text/plain; charset=utf-8"), body.into())
}

/// A document from its JSON text.
///
/// # Errors
/// Internal, when it has no form of the media type.
pub(super) fn document(media: Media, code: StatusCode, json: Bytes) -> Result<Response, Status> {
    Ok(with_type(code, media.content_type(), media.document(json)?.into()))
}

/// A refusal.
pub(super) fn status(status: &Status, media: Media) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Bytes::from(serde_json::to_vec(status).unwrap_or_default());
    let mut response = document(media, code, body.clone()).unwrap_or_else(|_| json(code, body));
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(RETRY_AFTER, retry_after.into());
    }
    response
}

/// A discovery document, or 304 when the client has it already.
pub(super) fn cached(document: &Document, request: &HeaderMap) -> Response {
    let known = request
        .get(http::header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == document.etag));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        with_type(StatusCode::OK, HeaderValue::from_static(document.content_type), document.body.clone().into())
    };
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

/// A body that is made while it is sent. Pulling stops while the client does not read, so memory is that of one step.
pub(super) fn streamed<E>(
    content_type: HeaderValue,
    steps: impl Stream<Item = Result<Vec<Bytes>, E>> + Send + 'static,
) -> Response
where
    E: Into<axum::BoxError> + Send + 'static,
{
    let frames = steps.flat_map(|step| {
        let frames: Vec<Result<Bytes, E>> = match step {
            Ok(frames) => frames.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(frames)
    });
    with_type(StatusCode::OK, content_type, Body::from_stream(frames))
}

/// The same for what goes on until somebody ends it, and must arrive as it happens.
pub(super) fn live<E>(
    content_type: HeaderValue,
    steps: impl Stream<Item = Result<Vec<Bytes>, E>> + Send + 'static,
) -> Response
where
    E: Into<axum::BoxError> + Send + 'static,
{
    let mut response = streamed(content_type, steps);
    response.extensions_mut().insert(Live);
    response
}

/// Adds `Warning: 299` headers, one a sentence. When they are long together, each is cut, as in Kubernetes: clients bound headers.
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    const TOGETHER_CHARS_MAX: usize = 4 << 10;
    const CUT_CHARS: usize = 256;
    let long = warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() > TOGETHER_CHARS_MAX;
    let most = if long { CUT_CHARS } else { TOGETHER_CHARS_MAX };
    for warning in warnings {
        let shown: String = warning.chars().take(most).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {}", quoted(&shown))) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// Adds what every answer carries.
pub(super) fn finish(mut response: Response, audit_id: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(audit_id) {
        headers.insert(AUDIT_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(NO_CACHE);
    response
}

fn with_type(code: StatusCode, content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A quoted string of RFC 9110; control characters become spaces.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            control if control.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_quoted_line() {
        let mut response = json(StatusCode::OK, "{}");
        warn(&mut response, &["unknown field \"spec.x\"\nreally".to_owned(), "second".to_owned()]);
        let warnings: Vec<&HeaderValue> = response.headers().get_all(WARNING).iter().collect();
        assert_eq!(warnings, [r#"299 - "unknown field \"spec.x\" really""#, r#"299 - "second""#]);
    }

    #[test]
    fn long_warnings_are_cut() {
        let mut response = json(StatusCode::OK, "{}");
        warn(&mut response, &["x".repeat(300), "y".repeat(4000)]);
        let lengths: Vec<usize> = response.headers().get_all(WARNING).iter().map(HeaderValue::len).collect();
        assert_eq!(lengths, [256 + "299 - \"\"".len(); 2]);
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        let made = Document::new("application/json", &serde_json::json!({}));
        let headers = HeaderMap::from_iter([(
            http::header::IF_NONE_MATCH,
            HeaderValue::from_str(&format!("\"old\", {}", made.etag)).expect("is a header"),
        )]);
        assert_eq!(cached(&made, &headers).status(), StatusCode::NOT_MODIFIED);
        let response = cached(&made, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[ETAG], made.etag);
        assert_eq!(response.headers()[VARY], "Accept");
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let response = status(&Status::too_many_requests("busy", 3), Media::Json);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "3");
    }
}
