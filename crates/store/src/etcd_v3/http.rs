//! The plain HTTP pages that etcd serves beside gRPC: health, version, metrics and what helps in debugging.

mod debug;
mod health;
mod probes;

use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tonic::body::Body;

use super::ETCD_VERSION;
use super::front::Front;
use crate::metrics;

/// A browser must not guess at what a page is.
const NO_SNIFFING: HeaderName = http::header::X_CONTENT_TYPE_OPTIONS;

/// Answers a request that is neither gRPC nor the gateway's.
pub(super) async fn answer(front: &Front, request: &Request<()>) -> Response<Body> {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let probe = probes::find(path);
    let known = probe.is_some() || matches!(path, "/health" | "/version" | "/metrics" | "/debug/vars");
    if !known {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    // Some scrapers post, which etcd passes over.
    if request.method() != Method::GET && path != "/metrics" {
        return method_not_allowed("GET");
    }
    match path {
        "/health" => health::answer(front, query).await,
        "/version" => json(
            StatusCode::OK,
            &serde_json::json!({"etcdserver": ETCD_VERSION, "etcdcluster": ETCD_VERSION, "storage": ETCD_VERSION}),
        ),
        "/metrics" => figures(front),
        "/debug/vars" => debug::answer(front),
        _ => match probe {
            Some(probe) => probe.answer(front, query).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
    }
}

fn figures(front: &Front) -> Response<Body> {
    match front.handle.metrics().text(&front.handle.scrape()) {
        Ok(figures) => {
            let mut response = Response::new(Body::new(http_body_util::Full::from(figures)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be shown");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be shown\n")
        }
    }
}

/// The values that a query gives for `name`, empty ones left out.
fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

fn has(query: &str, name: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = text(status, value.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn text(status: StatusCode, content: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(content.into())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(NO_SNIFFING, HeaderValue::from_static("nosniff"));
    response
}
