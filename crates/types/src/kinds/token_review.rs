//! TokenReview: whose token is this?

use k8s_openapi::api::authentication::v1::TokenReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<TokenReview>("tokenreview", false);
