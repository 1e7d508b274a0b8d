//! What NodeMetrics and PodMetrics have in common: their columns, and amounts as quantities.

use serde_json::{Value, json};

use crate::quantity::Quantity;
use crate::table::{self, Column};

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::string("CPU", "How many cores were in use, on average over the window."),
    Column::string("Memory", "How much memory was in use when it was measured."),
    Column::string("Window", "Over which time the use of cores is an average."),
];

/// A row. `used` has what each part uses, of which a node has one and a pod one for each container.
pub(super) fn cells(object: &Value, used: &[&Value]) -> Vec<Value> {
    let sum = |resource: &str| {
        let amounts = used.iter().filter_map(|used| used[resource].as_str()?.parse::<Quantity>().ok());
        amounts.fold(Quantity::ZERO, |sum, amount| sum + amount).to_string()
    };
    let (cpu, memory) = (sum("cpu"), sum("memory"));
    vec![table::name(object), json!(cpu), json!(memory), object["window"].clone()]
}
