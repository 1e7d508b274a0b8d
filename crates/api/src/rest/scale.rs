//! The scale subresource as a table: the same columns whatever is scaled, also of kinds that users define.

use jiff::Timestamp;
use keelson_types::table::{self, Column};
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    column("Name", "string", "name", "What is scaled."),
    column("Desired", "integer", "int64", "How many replicas are wanted."),
    column("Available", "integer", "int64", "How many replicas there are."),
    column("Age", "string", "", "How long it has been there."),
];

const fn column(name: &'static str, kind: &'static str, format: &'static str, description: &'static str) -> Column {
    Column { name, kind, format, description, priority: 0 }
}

/// The cells of a Scale.
pub(super) fn cells(scale: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        scale["metadata"]["name"].clone(),
        json!(scale["spec"]["replicas"].as_i64().unwrap_or(0)),
        json!(scale["status"]["replicas"].as_i64().unwrap_or(0)),
        json!(table::age(&scale["metadata"]["creationTimestamp"], now)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_for_each_column() {
        let scale = json!({"metadata": {"name": "d", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"replicas": 3}, "status": {"replicas": 2}});
        let now = Timestamp::from_second(60).expect("a time");
        assert_eq!(cells(&scale, now), [json!("d"), json!(3), json!(2), json!("60s")]);
        assert_eq!(COLUMNS.len(), 4);
    }
}
