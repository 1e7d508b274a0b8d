//! ValidatingAdmissionPolicyBinding: where a policy counts, and what follows from it.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use serde_json::Value;

use super::{admission_policy, check};
use crate::field::{Error, Path};
use crate::json::items;
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: admission_policy::BINDING_COLUMNS,
    behaviour: Behaviour {
        counts_generation: true,
        default: admission_policy::default_binding,
        validate,
        cells: admission_policy::binding_cells,
        ..Behaviour::of::<ValidatingAdmissionPolicyBinding>()
    },
    ..Kind::cluster::<ValidatingAdmissionPolicyBinding>("validatingadmissionpolicybinding")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    admission_policy::validate_binding(&object["spec"], errors);
    let path = Path::new("spec");
    let path = path.child("validationActions");
    if items(&object["spec"]["validationActions"]).next().is_none() {
        errors.push(Error::required(&path, "at least one validation action is required"));
    }
    for (index, action) in items(&object["spec"]["validationActions"]) {
        check::one_of(action, &["Audit", "Deny", "Warn"], &path.index(index), errors);
    }
}
