//! SelfSubjectReview: who am I?

use k8s_openapi::api::authentication::v1::SelfSubjectReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<SelfSubjectReview>("selfsubjectreview", false);
