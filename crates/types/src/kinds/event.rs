//! Event: what happened to an object, kept for a while.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use crate::field::{Error, Path};
use crate::json::text;
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    list_kind: "EventList",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::string("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
        Column::string("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
        Column::string("Reason", "This should be a short, machine understandable string that gives the reason for the transition into the object's current status."),
        Column::string("Object", "The object that this event is about."),
        Column::string("Subobject", "If referring to a piece of an object instead of an entire object, this contains a field path within the object.").wide(),
        Column::string("Source", "The component reporting this event.").wide(),
        Column::string("Message", "A human-readable description of the status of this operation."),
        Column::string("First Seen", "The time at which the event was first recorded.").wide(),
        Column::string("Count", "The number of times this event has occurred.").wide(),
        Column { priority: 1, ..Column::NAME },
    ],
    selectable_fields: &[
        ("involvedObject.kind", ""),
        ("involvedObject.namespace", ""),
        ("involvedObject.name", ""),
        ("involvedObject.uid", ""),
        ("involvedObject.apiVersion", ""),
        ("involvedObject.resourceVersion", ""),
        ("involvedObject.fieldPath", ""),
        ("reason", ""),
        ("reportingComponent", ""),
        ("source", ""),
        ("type", ""),
    ],
    merge_rules: &[],
    behaviour: Behaviour { created_by_update: true, validate, cells, ..Behaviour::of::<Event>() },
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("involvedObject");
    let involved = text(&object["involvedObject"]["namespace"]);
    // Events about objects without a namespace live in `default`.
    let expected = if involved.is_empty() { "default" } else { involved };
    let actual = text(&object["metadata"]["namespace"]);
    if actual != expected && !(involved.is_empty() && actual == "kube-system") {
        errors.push(Error::invalid(&path.child("namespace"), involved, "does not match event.namespace"));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let involved = &object["involvedObject"];
    let kind = text(&involved["kind"]).to_ascii_lowercase();
    let name = text(&involved["name"]);
    let seen = |moment: &Value| table::age(moment, now);
    // Writers of the newer form give only eventTime and a series.
    let first = if object["firstTimestamp"].is_null() { &object["eventTime"] } else { &object["firstTimestamp"] };
    let series = &object["series"];
    let last = [&series["lastObservedTime"], &object["lastTimestamp"]]
        .into_iter()
        .find(|moment| !moment.is_null())
        .unwrap_or(first);
    let count = series["count"].as_i64().or_else(|| object["count"].as_i64()).unwrap_or(1).max(1);
    let component = match text(&object["source"]["component"]) {
        "" => text(&object["reportingComponent"]),
        component => component,
    };
    let source = match text(&object["source"]["host"]) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    };
    vec![
        json!(seen(last)),
        json!(text(&object["type"])),
        json!(text(&object["reason"])),
        json!(if kind.is_empty() { name.to_owned() } else { format!("{kind}/{name}") }),
        json!(text(&involved["fieldPath"])),
        json!(source),
        json!(text(&object["message"]).trim()),
        json!(seen(first)),
        json!(count),
        table::name(object),
    ]
}
