//! The body of a DELETE: absent, JSON, YAML, or Kubernetes' protobuf, in which typed Go clients (kubectl drain) send it.

use bytes::Bytes;
use http::HeaderMap;
use keelson_types::status::Status;
use serde::Deserialize;

use super::{Expected, object};
use crate::pipeline::{DeleteOptions, Propagation};
use crate::rest::parameters::propagation;

const KIND: &str = "DeleteOptions";

/// `meta.v1.DeleteOptions`, as JSON names its fields.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
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
    let json = object(headers, body, &Expected::of("v1", KIND))?;
    let wire: Wire = serde_json::from_slice(&json).map_err(|error| refuse(&error.to_string()))?;
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

fn refuse(why: &str) -> Status {
    Status::cannot_be_handled(KIND, "v1", why)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use keelson_fuzzing::{Documents, fuzz};

    use super::*;
    use crate::protobuf;
    use crate::rest::media::PROTOBUF;

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
            Bytes::from([&protobuf::prefixed_document_head("v1", KIND, raw.len())[..], raw].concat())
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

    #[test]
    fn options_of_any_text_are_refused_or_mean_something() {
        let seeds = vec![
            serde_json::json!({"propagationPolicy": "Foreground", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}),
            serde_json::json!({"orphanDependents": true, "dryRun": ["All"], "preconditions": {"resourceVersion": "7"}}),
        ];
        fuzz!(Documents::new(seeds, &["Orphan", "Background", "dryRun", "orphanDependents", "uid"]), |text| {
            match delete_options(&headers("application/json"), Bytes::copy_from_slice(text)) {
                Ok((options, _)) => {
                    assert!(options.grace_period_seconds.is_none_or(|seconds| seconds >= 0));
                    true
                }
                Err(status) => {
                    assert_eq!(status.code, 400, "{status}");
                    false
                }
            }
        });
    }
}
