//! The plain HTTP pages that etcd serves beside gRPC: `/health` and `/version`.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use keelson_proto::etcdserverpb::RangeRequest;
use tonic::Status;
use tonic::body::Body;

use super::ETCD_VERSION;
use super::front::Front;
use crate::Error;

/// Answers a request that is not gRPC.
pub(super) async fn answer<B>(front: &Front, request: &Request<B>) -> Response<Body> {
    match request.uri().path() {
        "/health" | "/version" if request.method() != Method::GET => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
        "/health" => {
            let query = request.uri().query().unwrap_or_default();
            health(front, query.split('&').any(|pair| pair == "serializable=true")).await
        }
        "/version" => json(
            StatusCode::OK,
            &serde_json::json!({"etcdserver": ETCD_VERSION, "etcdcluster": ETCD_VERSION, "storage": ETCD_VERSION}),
        ),
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
    }
}

/// Healthy means: a leader is known and a read is answered; a serializable one when only this member is asked about.
async fn health(front: &Front, serializable: bool) -> Response<Body> {
    let leader_known = front.leadership.borrow().leader_id.is_some();
    let reason = if !serializable && !leader_known {
        "RAFT NO LEADER".to_owned()
    } else {
        let read = RangeRequest { key: "health".into(), limit: 1, serializable, ..Default::default() };
        match front.handle.range(read).await {
            Ok(_) => return json(StatusCode::OK, &serde_json::json!({"health": "true", "reason": ""})),
            Err(error @ (Error::Timeout | Error::Unknown)) => {
                tracing::debug!(%error, "health read");
                "QGET ERROR:request timed out".to_owned()
            }
            Err(error) => format!("QGET ERROR:{}", Status::from(error).message()),
        }
    };
    json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"health": "false", "reason": reason}))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = text(status, value.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, content: String) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(content)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
