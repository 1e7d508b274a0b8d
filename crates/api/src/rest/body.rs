//! Request bodies: bounded, and turned into the JSON text that the pipeline reads.

mod delete_options;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keelson_types::status::{Reason, Status};

use crate::pipeline::PatchType;

pub(super) use delete_options::delete_options;

/// The largest body that is read: twice the largest object, as in Kubernetes, since YAML and patches may be longer than
/// what they make.
const BODY_BYTES_MAX: usize = 3 << 20;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 400 when the client breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::request_entity_too_large(BODY_BYTES_MAX)),
        Err(error) => Err(Status::bad_request(format!("the body of the request could not be read: {error}"))),
    }
}

/// An object's JSON text, from JSON or YAML.
///
/// # Errors
/// 415 for another type, 400 for text that is none of it, with its position.
pub(super) fn object(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Status> {
    match media_type(headers) {
        // The pipeline parses JSON itself, since it also looks for duplicate fields.
        "" | JSON => Ok(body),
        YAML | "application/x-yaml" | "text/yaml" => yaml(&body),
        PROTOBUF => Err(Status::new(
            Reason::UnsupportedMediaType,
            format!("a body of type {PROTOBUF} is accepted for DeleteOptions only; send {JSON} or {YAML}"),
        )),
        _ => Err(Status::unsupported_media_type(&[JSON, YAML])),
    }
}

fn yaml(body: &[u8]) -> Result<Bytes, Status> {
    let value: serde_json::Value = serde_norway::from_slice(body)
        .map_err(|error| Status::bad_request(format!("error converting YAML to JSON: {error}")))?;
    Ok(value.to_string().into())
}

/// The format of a patch by its content type.
///
/// # Errors
/// 415 for another type.
pub(super) fn patch_type(headers: &HeaderMap) -> Result<PatchType, Status> {
    match media_type(headers) {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(Status::new(
            Reason::UnsupportedMediaType,
            "server-side apply is not implemented; use client-side apply (kubectl apply without --server-side)",
        )),
        _ => Err(Status::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ])),
    }
}

/// The content type without its parameters; empty when absent.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(content_type))])
    }

    #[test]
    fn yaml_becomes_json_and_bad_yaml_names_its_line() {
        let json = object(&headers("application/yaml; charset=utf-8"), "a: 1\nb: [x]\n".into()).expect("is YAML");
        assert_eq!(json, r#"{"a":1,"b":["x"]}"#);
        let status = object(&headers(YAML), "a: 1\n  b: 2\n".into()).expect_err("is no YAML");
        assert_eq!(status.code, 400);
        assert!(status.message.contains("line 2"), "{status}");
    }

    #[test]
    fn types_that_are_not_read_are_refused_by_name() {
        for content_type in [PROTOBUF, "text/plain", "application/cbor"] {
            assert_eq!(object(&headers(content_type), Bytes::new()).expect_err(content_type).code, 415);
        }
        let status = patch_type(&headers("application/apply-patch+yaml")).expect_err("is not there");
        assert!(status.code == 415 && status.message.starts_with("server-side apply is not implemented"), "{status}");
        assert_eq!(patch_type(&headers(JSON)).expect_err("is no patch").code, 415);
    }

    #[tokio::test]
    async fn a_body_is_bounded() {
        assert_eq!(read(Body::from(vec![b' '; BODY_BYTES_MAX])).await.expect("fits").len(), BODY_BYTES_MAX);
        assert_eq!(read(Body::from(vec![b' '; BODY_BYTES_MAX + 1])).await.expect_err("is too large").code, 413);
    }
}
