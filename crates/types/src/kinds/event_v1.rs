//! Event of `events.k8s.io/v1`: a view of the core group's events, which have other names for the same things.

use k8s_openapi::api::events::v1::Event;
use serde_json::Value;

use super::event as core;
use crate::json::set;
use crate::kind::{Behaviour, Kind, Served, View};

/// The stored field, and its name here.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub static KIND: Kind = Kind {
    short_names: &["ev"],
    served: Served::As(&VIEW),
    columns: core::KIND.columns,
    selectable_fields: &[
        ("regarding.kind", ""),
        ("regarding.namespace", ""),
        ("regarding.name", ""),
        ("regarding.uid", ""),
        ("regarding.apiVersion", ""),
        ("regarding.resourceVersion", ""),
        ("regarding.fieldPath", ""),
        ("reason", ""),
        ("reportingController", ""),
        ("type", ""),
    ],
    behaviour: Behaviour {
        cells: |object, now| core::KIND.cells(&to_stored(object.clone()), now),
        ..Behaviour::of::<Event>()
    },
    ..Kind::namespaced::<Event>("event")
};

static VIEW: View = View { stored: &core::KIND, from_stored, to_stored };

fn from_stored(mut object: Value) -> Value {
    set(&mut object, "apiVersion", "events.k8s.io/v1");
    rename(&mut object, |(stored, own)| (stored, own));
    // A controller that only wrote the older form is known by its source.
    if object["reportingController"].is_null()
        && let Some(component) = object["deprecatedSource"]["component"].as_str().map(str::to_owned)
    {
        set(&mut object, "reportingController", component);
    }
    object
}

fn to_stored(mut object: Value) -> Value {
    set(&mut object, "apiVersion", "v1");
    rename(&mut object, |(stored, own)| (own, stored));
    object
}

fn rename(object: &mut Value, direction: fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    let Some(fields) = object.as_object_mut() else { return };
    for (from, to) in NAMES.map(direction) {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_event_has_two_forms() {
        let stored = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "p"}, "message": "Started", "reason": "Started", "type": "Normal",
            "source": {"component": "agent"}, "count": 3, "firstTimestamp": "2026-01-01T00:00:00Z",
            "reportingComponent": "agent", "reportingInstance": "n1",
        });
        let shown = from_stored(stored.clone());
        assert_eq!(shown["regarding"]["name"], "p");
        assert_eq!(shown["note"], "Started");
        let decoded = KIND.decode_value(shown.clone()).expect("is of events.k8s.io");
        assert_eq!(decoded.strict_error(), None);
        assert_eq!(to_stored(shown), stored);
    }
}
