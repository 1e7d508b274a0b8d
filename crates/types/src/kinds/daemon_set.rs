//! DaemonSet: one pod on each node.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

use super::{check, workload};
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["ds"],
    categories: &["all"],
    status: true,
    columns: &[
        Column::NAME,
        Column::integer("Desired", "How many nodes should run a pod."),
        Column::integer("Current", "How many nodes run at least one pod and should."),
        Column::integer("Ready", "How many nodes run a pod that is ready."),
        Column::integer("Up-to-date", "How many nodes run a pod of the newest template."),
        Column::integer("Available", "How many nodes run a pod that has been ready for minReadySeconds."),
        Column::string("Node Selector", "Which nodes the pods go to."),
        Column::AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        workload::SELECTOR,
    ],
    merge_rules: workload::MERGE_RULES,
    behaviour: Behaviour {
        counts_generation: true,
        warn: workload::warn,
        default,
        validate,
        validate_update: workload::validate_update,
        cells,
        ..Behaviour::of::<DaemonSet>()
    },
    ..Kind::namespaced::<DaemonSet>("daemonset")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    if let Some(strategy) = child(spec, "updateStrategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(&strategy["type"]) == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            default_to(rolling, "maxUnavailable", 1);
            default_to(rolling, "maxSurge", 0);
        }
    }
    default_to(spec, "revisionHistoryLimit", 10);
    workload::default_template(spec);
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    workload::validate(spec, "daemonset", errors);
    check::not_negative(&spec["minReadySeconds"], &path.child("minReadySeconds"), errors);
    check::not_negative(&spec["revisionHistoryLimit"], &path.child("revisionHistoryLimit"), errors);
    let strategy = path.child("updateStrategy");
    check::one_of(&spec["updateStrategy"]["type"], &["RollingUpdate", "OnDelete"], &strategy.child("type"), errors);
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    let rolling_path = strategy.child("rollingUpdate");
    for field in ["maxUnavailable", "maxSurge"] {
        check::share(&rolling[field], &rolling_path.child(field), errors);
    }
    if rolling.is_object() {
        let nothing = |field: &str| check::is_nothing(&rolling[field]);
        if nothing("maxUnavailable") && nothing("maxSurge") {
            errors.push(Error::required(&rolling_path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
        } else if !nothing("maxUnavailable") && !nothing("maxSurge") && !rolling["maxSurge"].is_null() {
            errors.push(Error::invalid(
                &rolling_path.child("maxSurge"),
                rolling["maxSurge"].clone(),
                "may not be set when maxUnavailable is non-zero",
            ));
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field: &str| json!(object["status"][field].as_i64().unwrap_or(0));
    let [containers, images, selector] = workload::wide_cells(object);
    vec![
        table::name(object),
        count("desiredNumberScheduled"),
        count("currentNumberScheduled"),
        count("numberReady"),
        count("updatedNumberScheduled"),
        count("numberAvailable"),
        table::labels(&object["spec"]["template"]["spec"]["nodeSelector"]),
        table::object_age(object, now),
        containers,
        images,
        selector,
    ]
}
