//! ComponentStatus: how the parts of the control plane are, in a form that Kubernetes has deprecated and people still ask for.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ComponentStatus;
use serde_json::{Value, json};

use crate::json::{items, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    short_names: &["cs"],
    served: Served::Observed,
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
