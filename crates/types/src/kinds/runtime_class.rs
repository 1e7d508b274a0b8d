//! RuntimeClass: a way to run the containers of a pod.

use jiff::Timestamp;
use k8s_openapi::api::node::v1::RuntimeClass;
use serde_json::{Value, json};

use super::{check, resources};
use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};
use crate::{meta, names};

pub static KIND: Kind = Kind {
    columns: &[Column::NAME, Column::string("Handler", "What the container runtime calls it."), Column::AGE],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<RuntimeClass>() },
    ..Kind::cluster::<RuntimeClass>("runtimeclass")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    check::name(text(&object["handler"]), names::dns1123_label, &Path::new("handler"), errors);
    let overhead = Path::new("overhead");
    resources::validate_amounts(&object["overhead"]["podFixed"], &overhead.child("podFixed"), errors);
    let scheduling = Path::new("scheduling");
    let selector = scheduling.child("nodeSelector");
    meta::validate_labels(&object["scheduling"]["nodeSelector"], &selector, errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("handler"), &new["handler"], &old["handler"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), json!(text(&object["handler"])), table::object_age(object, now)]
}
