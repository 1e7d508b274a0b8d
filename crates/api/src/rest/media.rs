//! The media types of bodies, and documents in each of them. JSON is what the pipeline speaks; the others are made of it.

use bytes::Bytes;
use http::HeaderValue;
use keelson_types::status::Status;
use serde_json::Value;

use crate::protobuf;

pub(super) const JSON: &str = "application/json";
pub(super) const YAML: &str = "application/yaml";
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Media {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

impl Media {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Media::Json => JSON,
            Media::Yaml => YAML,
            Media::Protobuf => PROTOBUF,
        })
    }

    /// The type of a watch. Its events follow each other as lines, or each behind its length.
    pub(super) fn content_type_of_watch(self) -> HeaderValue {
        match self {
            Media::Protobuf => HeaderValue::from_static("application/vnd.kubernetes.protobuf;stream=watch"),
            other => other.content_type(),
        }
    }

    /// A document that says its apiVersion and kind, from its JSON text.
    ///
    /// # Errors
    /// Internal, when the object has no form of this type.
    pub(super) fn document(self, json: Bytes) -> Result<Bytes, Status> {
        let parse = || serde_json::from_slice::<Value>(&json).map_err(Status::internal);
        match self {
            Media::Json => Ok(json),
            Media::Yaml => serde_norway::to_string(&parse()?).map(Bytes::from).map_err(Status::internal),
            Media::Protobuf => protobuf::document(&parse()?).map(Bytes::from).map_err(Status::internal),
        }
    }
}
