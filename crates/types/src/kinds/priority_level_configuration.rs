//! PriorityLevelConfiguration: how much of the server a class of requests may have.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, default_to, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::{self, Column};

const SHARES: i64 = 30;

pub static KIND: Kind = Kind {
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Type", "Whether the level is limited."),
        Column::string("NominalConcurrencyShares", "Its part of the seats."),
        Column::string("Queues", "How many queues it has."),
        Column::string("HandSize", "How many queues a flow may use."),
        Column::string("QueueLengthLimit", "How long a queue may be."),
        Column::AGE,
    ],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        cells,
        ..Behaviour::of::<PriorityLevelConfiguration>()
    },
    ..Kind::cluster::<PriorityLevelConfiguration>("prioritylevelconfiguration")
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    if let Some(exempt) = spec.get_mut("exempt").filter(|exempt| exempt.is_object()) {
        default_to(exempt, "nominalConcurrencyShares", 0);
        default_to(exempt, "lendablePercent", 0);
    }
    let Some(limited) = spec.get_mut("limited").filter(|limited| limited.is_object()) else { return };
    default_to(limited, "nominalConcurrencyShares", SHARES);
    default_to(limited, "lendablePercent", 0);
    let Some(response) = child(limited, "limitResponse") else { return };
    default_text(response, "type", "Reject");
    if let Some(queuing) = response.get_mut("queuing").filter(|queuing| queuing.is_object()) {
        for (field, value) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
            default_to(queuing, field, value);
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let kind = text(&spec["type"]);
    check::required(&spec["type"], &path.child("type"), errors);
    check::one_of(&spec["type"], &["Exempt", "Limited"], &path.child("type"), errors);
    let limited = &spec["limited"];
    match kind {
        "Limited" if !limited.is_object() => {
            let why = "must not be empty when type is Limited";
            errors.push(Error::required(&path.child("limited"), why));
        }
        "Exempt" if limited.is_object() => {
            let why = "must be nil if the type is not Limited";
            errors.push(Error::forbidden(&path.child("limited"), why));
        }
        _ => {}
    }
    let path = path.child("limited");
    check::not_negative(&limited["nominalConcurrencyShares"], &path.child("nominalConcurrencyShares"), errors);
    if limited["lendablePercent"].as_i64().is_some_and(|percent| !(0..=100).contains(&percent)) {
        let why = "must be between 0 and 100, inclusive";
        errors.push(Error::invalid(&path.child("lendablePercent"), limited["lendablePercent"].clone(), why));
    }
    let response_path = path.child("limitResponse");
    let response = &limited["limitResponse"];
    check::one_of(&response["type"], &["Queue", "Reject"], &response_path.child("type"), errors);
    let queuing = response_path.child("queuing");
    match (text(&response["type"]), response["queuing"].is_object()) {
        ("Reject", true) => {
            errors.push(Error::forbidden(&queuing, "must be nil if limited.limitResponse.type is not Queue"));
        }
        ("Queue", false) => {
            errors.push(Error::required(&queuing, "must not be empty if limited.limitResponse.type is Queue"));
        }
        _ => {}
    }
    for field in ["queues", "handSize", "queueLengthLimit"] {
        check::positive(&response["queuing"][field], &queuing.child(field), errors);
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (limited, exempt) = (&object["spec"]["limited"], &object["spec"]["exempt"]);
    let shown = |value: &Value| json!(value.as_i64().map_or("<none>".to_owned(), |number| number.to_string()));
    let queuing = &limited["limitResponse"]["queuing"];
    let shares = if limited.is_object() { limited } else { exempt };
    vec![
        table::name(object),
        json!(text(&object["spec"]["type"])),
        shown(&shares["nominalConcurrencyShares"]),
        shown(&queuing["queues"]),
        shown(&queuing["handSize"]),
        shown(&queuing["queueLengthLimit"]),
        table::object_age(object, now),
    ]
}
