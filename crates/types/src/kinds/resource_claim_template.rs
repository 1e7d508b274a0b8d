//! ResourceClaimTemplate: a claim for devices to be, one for each pod.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;
use serde_json::Value;

use super::devices;
use crate::field::{Error, Path};
use crate::json::child;
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[Column::NAME, Column::AGE],
    behaviour: Behaviour { default, validate, validate_update, cells, ..Behaviour::of::<ResourceClaimTemplate>() },
    ..Kind::namespaced::<ResourceClaimTemplate>("resourceclaimtemplate")
};

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec").and_then(|spec| child(spec, "spec")) {
        devices::default(spec);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    devices::validate(&object["spec"]["spec"], &path.child("spec"), errors);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("spec"), &new["spec"], &old["spec"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![table::name(object), table::object_age(object, now)]
}
