//! LocalSubjectAccessReview: may somebody do something within a namespace?

use k8s_openapi::api::authorization::v1::LocalSubjectAccessReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<LocalSubjectAccessReview>("localsubjectaccessreview", true);
