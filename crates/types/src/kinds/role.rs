//! Role: what may be done within a namespace.

use k8s_openapi::api::rbac::v1::Role;
use serde_json::Value;

use super::rbac;
use crate::field::{Error, Path};
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    behaviour: Behaviour {
        created_by_update: true,
        default: rbac::default_rules,
        validate,
        validate_name: crate::names::path_segment,
        ..Behaviour::of::<Role>()
    },
    ..Kind::namespaced::<Role>("role")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    rbac::rules(&object["rules"], &Path::new("rules"), true, errors);
}
