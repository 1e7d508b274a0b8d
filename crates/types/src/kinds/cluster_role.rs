//! ClusterRole: what may be done in any namespace, to objects without one, and to paths that are no objects.

use k8s_openapi::api::rbac::v1::ClusterRole;
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
        ..Behaviour::of::<ClusterRole>()
    },
    ..Kind::cluster::<ClusterRole>("clusterrole")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    rbac::rules(&object["rules"], &Path::new("rules"), false, errors);
    rbac::validate_aggregation(object, errors);
}
