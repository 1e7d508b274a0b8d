//! Kubernetes' Status: how every refusal is told, in whichever protocol.
//!
//! One constructor a reason; each fixes the code and the words, so that both fronts say the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field;

/// Why a request failed, as a word that programs can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    /// The caller no longer leads in the term that it named. Keelson's own.
    Fenced,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    /// The write may or may not have happened. Keelson's own.
    UnknownOutcome,
    ServerTimeout,
    NotImplemented,
    ServiceUnavailable,
    Timeout,
    /// A reason that this version does not know.
    #[default]
    #[serde(other, rename = "")]
    Unknown,
}

impl Reason {
    const ALL: [Reason; 21] = [
        Reason::BadRequest,
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::MethodNotAllowed,
        Reason::NotAcceptable,
        Reason::AlreadyExists,
        Reason::Conflict,
        Reason::Gone,
        Reason::Expired,
        Reason::Fenced,
        Reason::RequestEntityTooLarge,
        Reason::UnsupportedMediaType,
        Reason::Invalid,
        Reason::TooManyRequests,
        Reason::InternalError,
        Reason::UnknownOutcome,
        Reason::ServerTimeout,
        Reason::NotImplemented,
        Reason::ServiceUnavailable,
        Reason::Timeout,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::BadRequest => "BadRequest",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Expired => "Expired",
            Reason::Fenced => "Fenced",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::Invalid => "Invalid",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::InternalError => "InternalError",
            Reason::UnknownOutcome => "UnknownOutcome",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::NotImplemented => "NotImplemented",
            Reason::ServiceUnavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
        }
    }

    /// [`Reason::Unknown`] for a word that is none.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap_or(Reason::Unknown)
    }

    /// The HTTP status code.
    pub const fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::Fenced => 412,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::Unknown | Reason::InternalError | Reason::UnknownOutcome | Reason::ServerTimeout => 500,
            Reason::NotImplemented => 501,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource or a kind in its group, printed as `deployments.apps`, or `pods` in the core group.
#[derive(Clone, Copy, Debug)]
pub struct Grouped<'a> {
    pub group: &'a str,
    pub name: &'a str,
}

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(self.name) } else { write!(f, "{}.{}", self.name, self.group) }
    }
}

/// One of several causes, usually a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a Status is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// A kind, or the plural name of a resource: Kubernetes uses the field for both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// 0 when the server does not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A failure. Serializes as Kubernetes' `Status` object; `Display` is its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Status {
    pub reason: Reason,
    pub message: String,
    /// The HTTP status code; `reason.code()` but for statuses that came over the wire.
    pub code: u16,
    pub details: Option<Box<Details>>,
    /// With this an interrupted list can be continued, at another revision; empty in all other cases.
    pub continue_token: Box<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Wire {
    kind: String,
    api_version: String,
    metadata: serde_json::Map<String, serde_json::Value>,
    status: String,
    message: String,
    #[serde(skip_serializing_if = "is_unknown")]
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Box<Details>>,
    code: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_unknown(reason: &Reason) -> bool {
    *reason == Reason::Unknown
}

impl From<Status> for Wire {
    fn from(status: Status) -> Self {
        let mut metadata = serde_json::Map::new();
        if !status.continue_token.is_empty() {
            metadata.insert("continue".to_owned(), status.continue_token.into_string().into());
        }
        Wire {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata,
            status: "Failure".into(),
            message: status.message,
            reason: status.reason,
            details: status.details,
            code: status.code,
        }
    }
}

impl From<Wire> for Status {
    fn from(wire: Wire) -> Self {
        let token = wire.metadata.get("continue").and_then(serde_json::Value::as_str).unwrap_or_default();
        let continue_token = token.into();
        Status { reason: wire.reason, message: wire.message, code: wire.code, details: wire.details, continue_token }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

impl Status {
    /// A status about nothing in particular.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Status { reason, message: message.into(), code: reason.code(), details: None, continue_token: "".into() }
    }

    fn about(reason: Reason, about: Grouped<'_>, name: &str, message: String) -> Self {
        let details =
            Details { name: name.into(), group: about.group.into(), kind: about.name.into(), ..Details::default() };
        Status { reason, message, code: reason.code(), details: Some(Box::new(details)), continue_token: "".into() }
    }

    /// `pods "nginx" not found`
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let about = Grouped { group, name: resource };
        Self::about(Reason::NotFound, about, name, format!("{about} {name:?} not found"))
    }

    /// A path that leads to no resource at all.
    pub fn no_such_path() -> Self {
        Self::new(Reason::NotFound, "the server could not find the requested resource")
    }

    /// `pods "nginx" already exists`
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let about = Grouped { group, name: resource };
        Self::about(Reason::AlreadyExists, about, name, format!("{about} {name:?} already exists"))
    }

    /// `Operation cannot be fulfilled on pods "nginx": {why}`
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let about = Grouped { group, name: resource };
        Self::about(Reason::Conflict, about, name, format!("Operation cannot be fulfilled on {about} {name:?}: {why}"))
    }

    /// The conflict of a stale resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, WHY)
    }

    /// `Deployment.apps "x" is invalid: {errors}`, with a cause for each.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[field::Error]) -> Self {
        let about = Grouped { group, name: kind };
        let mut texts: Vec<String> = Vec::with_capacity(errors.len());
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let message = match texts.as_slice() {
            [] => format!("{about} {name:?} is invalid"),
            [one] => format!("{about} {name:?} is invalid: {one}"),
            many => format!("{about} {name:?} is invalid: [{}]", many.join(", ")),
        };
        let mut status = Self::about(Reason::Invalid, about, name, message);
        if let Some(details) = &mut status.details {
            details.causes = errors
                .iter()
                .map(|error| Cause {
                    reason: error.reason.cause().into(),
                    message: error.body(),
                    field: error.path.clone(),
                })
                .collect();
        }
        status
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// `Pod in version "v1" cannot be handled as a Pod: {why}`: the body could not be decoded.
    pub fn cannot_be_handled(kind: &str, version: &str, why: &str) -> Self {
        Self::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    }

    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized")
    }

    /// `pods "nginx" is forbidden: {why}`; without a name `pods is forbidden: {why}`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let about = Grouped { group, name: resource };
        let message = if resource.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{about} is forbidden: {why}")
        } else {
            format!("{about} {name:?} is forbidden: {why}")
        };
        Self::about(Reason::Forbidden, about, name, message)
    }

    /// What was asked for is no longer kept, such as a compacted revision.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// The revision of a list is no longer kept; the token continues it at a newer one.
    pub fn list_expired(message: impl Into<String>, continue_token: String) -> Self {
        Status { continue_token: continue_token.into(), ..Self::expired(message) }
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Reason::Gone, message)
    }

    /// `too old resource version: {asked} ({oldest})`
    pub fn too_old_resource_version(asked: i64, oldest: i64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    pub fn timeout(message: impl fmt::Display) -> Self {
        Self::new(Reason::Timeout, format!("Timeout: {message}"))
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut status = Self::new(Reason::TooManyRequests, message);
        status.details = Some(Box::new(Details { retry_after_seconds, ..Details::default() }));
        status
    }

    /// Nothing was done; trying again may help.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message)
    }

    /// The same for whoever asks again after so many seconds, as clients of Kubernetes do by themselves. Nothing was done.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    pub fn internal(why: impl fmt::Display) -> Self {
        let mut status = Self::new(Reason::InternalError, format!("Internal error occurred: {why}"));
        status.details = Some(Box::new(Details {
            causes: vec![Cause { message: why.to_string(), ..Cause::default() }],
            ..Details::default()
        }));
        status
    }

    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(Reason::NotImplemented, format!("{what} is not implemented"))
    }

    /// The write carried a term that is no longer the leader's.
    pub fn fenced(fence_term: u64, term: u64) -> Self {
        Self::new(
            Reason::Fenced,
            format!("the write is fenced by term {fence_term}, but the cluster is in term {term}"),
        )
    }

    /// The write may or may not have happened.
    pub fn unknown_outcome(why: impl fmt::Display) -> Self {
        Self::new(
            Reason::UnknownOutcome,
            format!("{why}: outcome unknown; read the object to learn whether the write happened"),
        )
    }

    pub fn request_entity_too_large(limit_bytes: usize) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity is too large: limit is {limit_bytes}"))
    }

    pub fn method_not_allowed() -> Self {
        Self::new(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::new(
            Reason::NotAcceptable,
            format!("only the following media types are accepted: {}", accepted.join(", ")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Path;

    #[test]
    fn messages_are_kubernetes_own() {
        let spec = Path::new("spec");
        let errors = [field::Error::invalid(&spec.child("replicas"), -1, "must be greater than or equal to 0")];
        let table = [
            (Status::not_found("", "pods", "nginx"), "pods \"nginx\" not found", 404),
            (Status::already_exists("apps", "deployments", "x"), "deployments.apps \"x\" already exists", 409),
            (
                Status::modified("apps", "deployments", "x"),
                "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified; please apply \
                 your changes to the latest version and try again",
                409,
            ),
            (
                Status::invalid("apps", "Deployment", "x", &errors),
                "Deployment.apps \"x\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                422,
            ),
            (Status::forbidden("", "pods", "", "no"), "pods is forbidden: no", 403),
            (Status::too_old_resource_version(5, 9), "too old resource version: 5 (9)", 410),
        ];
        for (status, message, code) in table {
            assert_eq!(status.message, message);
            assert_eq!(status.code, code);
        }
    }

    #[test]
    fn a_status_survives_the_wire() {
        let status = Status::not_found("", "pods", "nginx");
        let json = serde_json::to_value(&status).expect("a status is JSON");
        assert_eq!(json["kind"], "Status");
        assert_eq!(json["status"], "Failure");
        assert_eq!(json["reason"], "NotFound");
        assert_eq!(json["details"]["kind"], "pods");
        assert_eq!(serde_json::from_value::<Status>(json).expect("decodes"), status);
    }

    #[test]
    fn every_reason_has_its_word() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), reason);
        }
        assert_eq!(Reason::from_word("Nonsense"), Reason::Unknown);
    }
}
