//! SubjectAccessReview: may somebody do something?

use k8s_openapi::api::authorization::v1::SubjectAccessReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<SubjectAccessReview>("subjectaccessreview", false);
