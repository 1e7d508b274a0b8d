//! NodeMetrics: what a node uses.

use serde_json::Value;

use super::measured::{self, COLUMNS};
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    singular: "nodemetrics",
    columns: COLUMNS,
    behaviour: Behaviour {
        cells: |object, _| measured::cells(object, &[&object["usage"]]),
        ..Behaviour::of::<Value>()
    },
    ..Kind::measured("NodeMetrics", "NodeMetricsList", "nodes")
};
