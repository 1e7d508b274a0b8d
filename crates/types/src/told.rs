//! Kinds of the core group of which nothing is stored, and which stand beside the registry: the state of the cluster's components,
//! and the old way to bind a pod. Discovery tells of them; the fronts serve them by paths of their own.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, ComponentStatus};
use serde_json::{Value, json};

use crate::json::{items, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

/// `GET componentstatuses`
pub static COMPONENT_STATUS: Kind = Kind {
    short_names: &["cs"],
    served: Served::Told,
    columns: &[
        Column::NAME,
        Column::string("Status", "Whether the component works."),
        Column::string("Message", "What it says of itself."),
        Column::string("Error", "Why it does not work."),
    ],
    behaviour: Behaviour {
        deprecated: Some("v1 ComponentStatus is deprecated in v1.19+"),
        cells,
        ..Behaviour::of::<ComponentStatus>()
    },
    ..Kind::cluster::<ComponentStatus>("componentstatus")
};

/// `POST namespaces/<namespace>/bindings`
pub static BINDING: Kind = Kind::answered::<Binding>("binding", true);

/// Both, in the order in which discovery tells of them.
pub static ALL: [&Kind; 2] = [&BINDING, &COMPONENT_STATUS];

fn cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let condition = items(&object["conditions"]).find(|(_, condition)| condition["type"] == "Healthy");
    let condition = condition.map_or(&Value::Null, |(_, condition)| condition);
    let status = match text(&condition["status"]) {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    vec![table::name(object), json!(status), json!(text(&condition["message"])), json!(text(&condition["error"]))]
}
