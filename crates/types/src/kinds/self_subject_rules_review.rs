//! SelfSubjectRulesReview: what may I do?

use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<SelfSubjectRulesReview>("selfsubjectrulesreview", false);
