//! MutatingAdmissionPolicyBinding: where a policy counts.

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;

use super::admission_policy;
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: admission_policy::BINDING_COLUMNS,
    behaviour: Behaviour {
        counts_generation: true,
        default: admission_policy::default_binding,
        validate: |object, errors| admission_policy::validate_binding(&object["spec"], errors),
        cells: admission_policy::binding_cells,
        ..Behaviour::of::<MutatingAdmissionPolicyBinding>()
    },
    ..Kind::cluster::<MutatingAdmissionPolicyBinding>("mutatingadmissionpolicybinding")
};
