//! PodTemplate: a pod to be, by itself.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplate;
use serde_json::{Value, json};

use super::{pod, workload};
use crate::field::{Error, Path};
use crate::kind::{Behaviour, Kind};
use crate::merge::Rules;
use crate::meta;
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("Containers", "Names of each container in the template."),
        Column::string("Images", "Images referenced by each container in the template."),
        Column::string("Pod Labels", "The labels of the template."),
    ],
    merge_rules: &[Rules { prefix: "template.spec", rules: pod::MERGE_RULES }],
    behaviour: Behaviour {
        counts_generation: true,
        default: workload::default_template,
        warn: |object, _, warnings| pod::warnings::of(&object["template"], &Path::new("template"), warnings),
        validate,
        cells,
        ..Behaviour::of::<PodTemplate>()
    },
    ..Kind::namespaced::<PodTemplate>("podtemplate")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("template");
    let metadata = path.child("metadata");
    let template = &object["template"];
    meta::validate_labels(&template["metadata"]["labels"], &metadata.child("labels"), errors);
    meta::validate_annotations(&template["metadata"]["annotations"], &metadata.child("annotations"), errors);
    pod::validation::spec(&template["spec"], &path.child("spec"), errors);
}

fn cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let [containers, images, _] = workload::wide_cells(&json!({"spec": {"template": object["template"]}}));
    vec![table::name(object), containers, images, table::labels(&object["template"]["metadata"]["labels"])]
}
