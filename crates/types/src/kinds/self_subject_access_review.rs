//! SelfSubjectAccessReview: may I do something?

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<SelfSubjectAccessReview>("selfsubjectaccessreview", false);
