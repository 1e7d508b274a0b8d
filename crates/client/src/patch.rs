//! A change to an object, in one of the three forms that Kubernetes knows.

use keelson_proto::keelson::api::v1::patch_request::Type;
use serde_json::Value;

/// A change to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 7386: given fields replace, null removes, lists are replaced whole.
    Merge(Value),
    /// As merge, but lists of named things are merged by their key.
    Strategic(Value),
    /// RFC 6902: a list of operations.
    Json(Value),
}

impl Patch {
    pub(crate) fn value(&self) -> &Value {
        let (Self::Merge(value) | Self::Strategic(value) | Self::Json(value)) = self;
        value
    }

    pub(crate) fn proto_type(&self) -> Type {
        match self {
            Self::Merge(_) => Type::Merge,
            Self::Strategic(_) => Type::Strategic,
            Self::Json(_) => Type::Json,
        }
    }
}
