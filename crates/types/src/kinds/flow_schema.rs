//! FlowSchema: which requests are of which level of priority.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_to, items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::{self, Column};

const PRECEDENCE: i64 = 1000;
const PRECEDENCE_MAX: i64 = 10_000;

pub static KIND: Kind = Kind {
    status: true,
    columns: &[
        Column::NAME,
        Column::string("PriorityLevel", "The level of the requests."),
        Column::integer("MatchingPrecedence", "Which schema is asked first; smaller is earlier."),
        Column::string("DistinguisherMethod", "How requests are told apart into flows."),
        Column::AGE,
        Column::string("MissingPL", "Whether the level is not there."),
    ],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour { counts_generation: true, default, validate, cells, ..Behaviour::of::<FlowSchema>() },
    ..Kind::cluster::<FlowSchema>("flowschema")
};

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        default_to(spec, "matchingPrecedence", PRECEDENCE);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let precedence = spec["matchingPrecedence"].as_i64().unwrap_or(0);
    if !(1..=PRECEDENCE_MAX).contains(&precedence) {
        let why = format!("must be between 1 and {PRECEDENCE_MAX}, inclusive");
        errors.push(Error::invalid(&path.child("matchingPrecedence"), precedence, why));
    }
    let level = path.child("priorityLevelConfiguration");
    check::required(&spec["priorityLevelConfiguration"]["name"], &level.child("name"), errors);
    let method = path.child("distinguisherMethod");
    check::one_of(&spec["distinguisherMethod"]["type"], &["ByNamespace", "ByUser"], &method.child("type"), errors);
    let rules = path.child("rules");
    for (index, rule) in items(&spec["rules"]) {
        let path = rules.index(index);
        let some = |field: &str| items(&rule[field]).next().is_some();
        if !some("subjects") {
            errors.push(Error::required(&path.child("subjects"), "subjects must contain at least one value"));
        }
        if !some("resourceRules") && !some("nonResourceRules") {
            let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
            errors.push(Error::required(&path, why));
        }
        let subjects = path.child("subjects");
        for (index, subject) in items(&rule["subjects"]) {
            let kinds = ["Group", "ServiceAccount", "User"];
            check::one_of(&subject["kind"], &kinds, &subjects.index(index).child("kind"), errors);
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let dangling = items(&object["status"]["conditions"]).find(|(_, condition)| condition["type"] == "Dangling");
    vec![
        table::name(object),
        json!(text(&spec["priorityLevelConfiguration"]["name"])),
        json!(spec["matchingPrecedence"].as_i64().unwrap_or(0)),
        table::or_none(&spec["distinguisherMethod"]["type"]),
        table::object_age(object, now),
        json!(dangling.map_or("?", |(_, condition)| text(&condition["status"]))),
    ]
}
