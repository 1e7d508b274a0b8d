//! PodMetrics: what the containers of a pod use.

use jiff::Timestamp;
use serde_json::Value;

use super::measured::{self, COLUMNS};
use crate::json::items;
use crate::kind::{Behaviour, Kind};

pub static KIND: Kind = Kind {
    singular: "podmetrics",
    namespaced: true,
    columns: COLUMNS,
    behaviour: Behaviour { cells, ..Behaviour::of::<Value>() },
    ..Kind::measured("PodMetrics", "PodMetricsList", "pods")
};

fn cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let used: Vec<&Value> = items(&object["containers"]).map(|(_, container)| &container["usage"]).collect();
    measured::cells(object, &used)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_sums_what_the_containers_use() {
        let container = |cpu: &str, memory: &str| json!({"name": "c", "usage": {"cpu": cpu, "memory": memory}});
        let pod = json!({
            "metadata": {"name": "p"}, "window": "10s",
            "containers": [container("1500000n", "10Mi"), container("100m", "6Mi")],
        });
        let row = KIND.cells(&pod, Timestamp::UNIX_EPOCH);
        assert_eq!(row, [json!("p"), json!("101500u"), json!("16Mi"), json!("10s")]);
    }
}
