//! MutatingAdmissionPolicy: expressions that change an object before it is written.

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;
use serde_json::Value;

use super::{admission_policy, check};
use crate::field::{Error, Path};
use crate::json::{child, default_text, items};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::Column;

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: &[
        Column::NAME,
        Column::integer("Mutations", "How many expressions there are."),
        Column::string("ParamKind", "The kind of the parameters."),
        Column::AGE,
    ],
    merge_rules: &[Rules { prefix: "spec", rules: &[("matchConditions", by("name")), ("variables", by("name"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        cells: |object, now| admission_policy::cells(object, items(&object["spec"]["mutations"]).count(), now),
        ..Behaviour::of::<MutatingAdmissionPolicy>()
    },
    ..Kind::cluster::<MutatingAdmissionPolicy>("mutatingadmissionpolicy")
};

fn default(object: &mut Value) {
    admission_policy::default(object);
    if let Some(spec) = child(object, "spec") {
        default_text(spec, "reinvocationPolicy", "Never");
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    admission_policy::validate(spec, errors);
    let policies = ["IfNeeded", "Never"];
    check::one_of(&spec["reinvocationPolicy"], &policies, &path.child("reinvocationPolicy"), errors);
    let mutations = path.child("mutations");
    if items(&spec["mutations"]).next().is_none() {
        errors.push(Error::required(&mutations, "mutations must contain at least one item"));
    }
    for (index, mutation) in items(&spec["mutations"]) {
        let path = mutations.index(index);
        let kinds = ["ApplyConfiguration", "JSONPatch"];
        if check::required(&mutation["patchType"], &path.child("patchType"), errors) {
            check::one_of(&mutation["patchType"], &kinds, &path.child("patchType"), errors);
        }
    }
}
