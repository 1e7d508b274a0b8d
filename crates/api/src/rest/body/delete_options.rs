//! The body of a DELETE: absent, JSON, YAML, or Kubernetes' protobuf, in which typed Go clients (kubectl drain) send it.

use bytes::Bytes;
use http::HeaderMap;
use keelson_types::status::Status;
use prost::Message;
use serde::Deserialize;

use super::{PROTOBUF, media_type, object};
use crate::pipeline::{DeleteOptions, Propagation};
use crate::rest::parameters::propagation;

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

/// `runtime.Unknown` of apimachinery: the envelope around every protobuf body.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// `meta.v1.DeleteOptions`, in the field numbers of Kubernetes' protobuf and the names of its JSON.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    #[prost(int64, optional, tag = "1")]
    grace_period_seconds: Option<i64>,
    #[prost(message, optional, tag = "2")]
    preconditions: Option<Preconditions>,
    #[prost(bool, optional, tag = "3")]
    orphan_dependents: Option<bool>,
    #[prost(string, optional, tag = "4")]
    propagation_policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    dry_run: Vec<String>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    #[prost(string, optional, tag = "1")]
    uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    resource_version: Option<String>,
}

/// The options of a DELETE's body, and whether it is a dry run. An empty body is all defaults.
///
/// # Errors
/// 415 for another type, 400 for what is no DeleteOptions.
pub(in crate::rest) fn delete_options(headers: &HeaderMap, body: Bytes) -> Result<(DeleteOptions, bool), Status> {
    if body.is_empty() {
        return Ok((DeleteOptions::default(), false));
    }
    let wire = if media_type(headers) == PROTOBUF {
        protobuf(&body).ok_or_else(|| refuse("the body is not the protobuf form of DeleteOptions"))?
    } else {
        let json = object(headers, body)?;
        serde_json::from_slice(&json).map_err(|error| refuse(&error.to_string()))?
    };
    let propagation = match (&wire.propagation_policy, wire.orphan_dependents) {
        (Some(_), Some(_)) => return Err(refuse("orphanDependents and propagationPolicy cannot be both set")),
        (Some(policy), None) => Some(propagation(policy)?),
        (None, Some(true)) => Some(Propagation::Orphan),
        (None, Some(false)) => Some(Propagation::Background),
        (None, None) => None,
    };
    let dry_run = match wire.dry_run.as_slice() {
        [] => false,
        values if values.iter().all(|value| value == "All") => true,
        _ => return Err(refuse("dryRun: the only dry run there is is All")),
    };
    if let Some(seconds) = wire.grace_period_seconds.filter(|seconds| *seconds < 0) {
        return Err(refuse(&format!(
            "gracePeriodSeconds: Invalid value: {seconds}: must be greater than or equal to 0"
        )));
    }
    let preconditions = wire.preconditions.unwrap_or_default();
    let options = DeleteOptions {
        propagation,
        grace_period_seconds: wire.grace_period_seconds,
        uid: preconditions.uid.unwrap_or_default(),
        resource_version: preconditions.resource_version.unwrap_or_default(),
    };
    Ok((options, dry_run))
}

fn protobuf(body: &[u8]) -> Option<Wire> {
    let envelope = Envelope::decode(body.strip_prefix(MAGIC)?).ok()?;
    let kind = envelope.type_meta.unwrap_or_default().kind;
    if kind != "DeleteOptions" {
        return None;
    }
    Wire::decode(envelope.raw).ok()
}

fn refuse(why: &str) -> Status {
    Status::cannot_be_handled("DeleteOptions", "v1", why)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(content_type))])
    }

    #[test]
    fn what_kubectl_delete_and_drain_send_is_read() {
        let body = Bytes::from_static(br#"{"propagationPolicy":"Foreground","gracePeriodSeconds":0,"preconditions":{"uid":"u"},"dryRun":["All"]}"#);
        let (options, dry_run) = delete_options(&headers("application/json"), body).expect("is read");
        assert_eq!(options.propagation, Some(Propagation::Foreground));
        assert_eq!(options.grace_period_seconds, Some(0));
        assert_eq!(options.uid, "u");
        assert!(dry_run);

        // kubectl drain without options, byte for byte, then with a grace period of 30 seconds.
        let drain = |raw: &'static [u8]| {
            let type_meta = TypeMeta { api_version: "v1".to_owned(), kind: "DeleteOptions".to_owned() };
            let envelope = Envelope { type_meta: Some(type_meta), raw: Bytes::from_static(raw) };
            Bytes::from([MAGIC, &envelope.encode_to_vec()].concat())
        };
        let (options, dry_run) = delete_options(&headers(PROTOBUF), drain(b"")).expect("is read");
        assert!(options.grace_period_seconds.is_none() && options.propagation.is_none() && !dry_run);
        let (options, _) = delete_options(&headers(PROTOBUF), drain(b"\x08\x1e")).expect("is read");
        assert_eq!(options.grace_period_seconds, Some(30));
        assert!(delete_options(&headers("application/json"), Bytes::new()).is_ok());
    }

    #[test]
    fn what_is_no_delete_options_is_refused() {
        for (content_type, body) in [
            ("application/json", &b"{"[..]),
            ("application/json", br#"{"propagationPolicy":"Later"}"#),
            ("application/json", br#"{"propagationPolicy":"Orphan","orphanDependents":true}"#),
            ("application/json", br#"{"gracePeriodSeconds":-1}"#),
            ("application/json", br#"{"dryRun":["Some"]}"#),
            (PROTOBUF, b"nonsense"),
            (PROTOBUF, b"k8s\0\x0a\xff"),
        ] {
            let status = delete_options(&headers(content_type), Bytes::from_static(body)).expect_err("is refused");
            assert_eq!(status.code, 400, "{status}");
        }
    }
}
