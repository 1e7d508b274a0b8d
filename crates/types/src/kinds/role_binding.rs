//! RoleBinding: who has a role within a namespace.

use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::Value;

use super::rbac;
use crate::field::Error;
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    columns: rbac::BINDING_COLUMNS,
    behaviour: Behaviour {
        created_by_update: true,
        default: rbac::default_binding,
        validate,
        validate_update: rbac::validate_binding_update,
        validate_name: crate::names::path_segment,
        cells: rbac::binding_cells,
        ..Behaviour::of::<RoleBinding>()
    },
    ..Kind::namespaced::<RoleBinding>("rolebinding")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    rbac::validate_binding(object, &["ClusterRole", "Role"], true, errors);
}
