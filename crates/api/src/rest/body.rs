//! Request bodies: bounded, and turned into the JSON text that the pipeline reads.

mod delete_options;
mod yaml;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keelson_types::status::{Reason, Status};

use super::media::{JSON, PROTOBUF, YAML};
use crate::pipeline::{PatchType, Subresource, Target};
use crate::protobuf;
use crate::service::Refused;

pub(super) use delete_options::delete_options;

/// The largest body that is read: twice the largest object, as in Kubernetes, since YAML and patches may be longer than
/// what they make.
const BODY_BYTES_MAX: usize = 3 << 20;

/// What a body is that does not say so: an apiVersion and a kind.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    api_version: String,
    kind: &'static str,
    /// Kinds that users define have no message.
    protobuf: bool,
}

impl Expected {
    fn of(api_version: &str, kind: &'static str) -> Expected {
        Expected { api_version: api_version.to_owned(), kind, protobuf: true }
    }
}

pub(super) fn expected(target: &Target) -> Expected {
    let of = Expected::of;
    match target.subresource {
        Subresource::Scale => of("autoscaling/v1", "Scale"),
        Subresource::Binding => of("v1", "Binding"),
        Subresource::Eviction => of("policy/v1", "Eviction"),
        Subresource::None
        | Subresource::Status
        | Subresource::Approval
        | Subresource::Log
        | Subresource::Finalize
        | Subresource::EphemeralContainers
        | Subresource::Resize
        | Subresource::Session(_) => {
            Expected { protobuf: !target.kind.is_custom(), ..of(&target.kind.api_version(), target.kind.kind) }
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 429 when there is no memory for it, 408 when it takes too long, 400 when the client breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::request_entity_too_large(BODY_BYTES_MAX)),
        Err(error) => Err(match Refused::find(error.as_ref()) {
            Some(refused) => refused.clone(),
            None => Status::bad_request(format!("the body of the request could not be read: {error}")),
        }),
    }
}

/// An object's JSON text, from JSON, YAML or protobuf.
///
/// # Errors
/// 415 for another type or an encoded body, 400 for text that is none of it, with its position.
pub(super) fn object(headers: &HeaderMap, body: Bytes, expected: &Expected) -> Result<Bytes, Status> {
    plain(headers)?;
    match media_type(headers) {
        // The pipeline parses JSON itself, since it also looks for duplicate fields.
        "" | JSON => Ok(body),
        YAML | "application/x-yaml" | "text/yaml" => yaml::to_json(&body),
        PROTOBUF if expected.protobuf => {
            let Expected { api_version, kind, .. } = expected;
            let object = protobuf::decode(&body, (api_version, kind)).map_err(|error| match error {
                protobuf::Error::NoKind { .. } => Status::bad_request(error.to_string()),
                error => {
                    let version = api_version.rsplit('/').next().unwrap_or(api_version);
                    Status::cannot_be_handled(kind, version, &error.to_string())
                }
            })?;
            Ok(object.to_string().into())
        }
        _ => Err(Status::unsupported_media_type(&[JSON, YAML, PROTOBUF])),
    }
}

/// Bodies are read as they are: what is small on the way and large in memory is never taken.
fn plain(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => Ok(()),
        Some(encoding) => Err(Status::new(
            Reason::UnsupportedMediaType,
            format!("a body encoded as {encoding:?} is not accepted; send it without Content-Encoding"),
        )),
    }
}

pub(super) const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A PATCH's body.
pub(super) enum Patch {
    /// How the object is to change.
    Change(PatchType, Bytes),
    /// What the field manager wants of the object, as JSON text.
    Apply(Bytes),
}

/// A patch by its content type.
///
/// # Errors
/// 415 for another type, 400 for an apply that is no YAML.
pub(super) fn patch(headers: &HeaderMap, body: Bytes) -> Result<Patch, Status> {
    plain(headers)?;
    match media_type(headers) {
        "application/json-patch+json" => Ok(Patch::Change(PatchType::Json, body)),
        "application/merge-patch+json" => Ok(Patch::Change(PatchType::Merge, body)),
        "application/strategic-merge-patch+json" => Ok(Patch::Change(PatchType::Strategic, body)),
        APPLY_PATCH => yaml::to_json(&body).map(Patch::Apply),
        _ => Err(Status::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            APPLY_PATCH,
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

    fn expected_map() -> Expected {
        Expected::of("v1", "ConfigMap")
    }

    fn map(content_type: &'static str, body: &'static [u8]) -> Result<Bytes, Status> {
        object(&headers(content_type), Bytes::from_static(body), &expected_map())
    }

    #[test]
    fn yaml_and_protobuf_become_json() {
        let json = map("application/yaml; charset=utf-8", b"a: 1\nb: [x]\n").expect("is YAML");
        assert_eq!(json, r#"{"a":1,"b":["x"]}"#);
        let status = map(YAML, b"a: 1\n  b: 2\n").expect_err("is no YAML");
        assert_eq!(status.code, 400);
        assert!(status.message.contains("line 2"), "{status}");

        // What `kubectl create configmap m` sends, but for its name.
        let json = map(PROTOBUF, b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01m\x1a\0\"\0");
        let json: serde_json::Value = serde_json::from_slice(&json.expect("is protobuf")).expect("is JSON");
        assert_eq!(json, serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}));
        let status = map(PROTOBUF, b"k8s\0\x12\x05\x0a\x03\x0a\x02m").expect_err("is cut off");
        assert_eq!(status.code, 400);
        assert_eq!(
            status.message,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: metadata: a length reaches beyond the data \
             around it"
        );
    }

    #[test]
    fn a_kind_that_users_define_has_no_protobuf() {
        let expected = Expected { protobuf: false, ..expected_map() };
        let refused = object(&headers(PROTOBUF), Bytes::from_static(b"k8s\0"), &expected).expect_err("is refused");
        assert_eq!(refused.code, 415);
    }

    #[test]
    fn types_that_are_not_read_are_refused_by_name() {
        for content_type in ["text/plain", "application/cbor"] {
            assert_eq!(map(content_type, b"").expect_err(content_type).code, 415);
        }
        for content_type in [JSON, "application/apply-patch+cbor"] {
            assert_eq!(patch(&headers(content_type), Bytes::new()).map(|_| ()).expect_err(content_type).code, 415);
        }
        let mut zipped = headers(JSON);
        zipped.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        let status = object(&zipped, Bytes::new(), &expected_map()).expect_err("is refused");
        assert!(status.code == 415 && status.message.contains("gzip"), "{status}");
    }

    #[tokio::test]
    async fn a_body_is_bounded() {
        assert_eq!(read(Body::from(vec![b' '; BODY_BYTES_MAX])).await.expect("fits").len(), BODY_BYTES_MAX);
        assert_eq!(read(Body::from(vec![b' '; BODY_BYTES_MAX + 1])).await.expect_err("is too large").code, 413);
    }
}
