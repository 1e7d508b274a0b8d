//! PodDisruptionBudget: how many of several pods may be taken away on purpose at the same time.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by, replace};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["pdb"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Min Available", "The minimum number of pods that must be available."),
        Column::string("Max Unavailable", "The maximum number of pods that may be unavailable."),
        Column::integer("Allowed Disruptions", "How many pods may be evicted now."),
        Column::AGE,
    ],
    merge_rules: &[
        Rules { prefix: "spec", rules: &[("selector", replace())] },
        Rules { prefix: "status", rules: &[("conditions", by("type"))] },
    ],
    behaviour: Behaviour { counts_generation: true, validate, cells, ..Behaviour::of::<PodDisruptionBudget>() },
    ..Kind::namespaced::<PodDisruptionBudget>("poddisruptionbudget")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        errors.push(Error::invalid(&path, spec.clone(), why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        check::share(&spec[field], &path.child(field), errors);
        check::at_most_all(&spec[field], &path.child(field), errors);
    }
    check::label_selector(&spec["selector"], &path.child("selector"), errors);
    check::one_of(
        &spec["unhealthyPodEvictionPolicy"],
        &["AlwaysAllow", "IfHealthyBudget"],
        &path.child("unhealthyPodEvictionPolicy"),
        errors,
    );
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let shown = |value: &Value| match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        number => json!(number.to_string()),
    };
    vec![
        table::name(object),
        shown(&object["spec"]["minAvailable"]),
        shown(&object["spec"]["maxUnavailable"]),
        json!(object["status"]["disruptionsAllowed"].as_i64().unwrap_or(0)),
        table::object_age(object, now),
    ]
}
