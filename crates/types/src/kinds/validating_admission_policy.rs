//! ValidatingAdmissionPolicy: expressions that an object must satisfy to be written.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::Value;

use super::{admission_policy, check};
use crate::field::{Error, Path};
use crate::json::items;
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::Column;

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    status: true,
    columns: &[
        Column::NAME,
        Column::integer("Validations", "How many expressions there are."),
        Column::string("ParamKind", "The kind of the parameters."),
        Column::AGE,
    ],
    merge_rules: &[Rules { prefix: "spec", rules: &[("matchConditions", by("name")), ("variables", by("name"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        default: admission_policy::default,
        validate,
        cells: |object, now| admission_policy::cells(object, items(&object["spec"]["validations"]).count(), now),
        ..Behaviour::of::<ValidatingAdmissionPolicy>()
    },
    ..Kind::cluster::<ValidatingAdmissionPolicy>("validatingadmissionpolicy")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    admission_policy::validate(spec, errors);
    let some = |field: &str| items(&spec[field]).next().is_some();
    if !some("validations") && !some("auditAnnotations") {
        let why = "validations or auditAnnotations must be supplied";
        errors.push(Error::required(&path.child("validations"), why));
    }
    let validations = path.child("validations");
    for (index, validation) in items(&spec["validations"]) {
        check::required(&validation["expression"], &validations.index(index).child("expression"), errors);
    }
}
