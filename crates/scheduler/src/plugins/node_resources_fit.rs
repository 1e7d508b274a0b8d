//! A node must have what the pod asks for; of those that do, the least allocated is best.

use super::{Event, Filter, Normalize, Reasons, SCORE_MAX, Score};
use crate::node::NodeInfo;
use crate::pod::Shape;

pub const FILTER: Filter = Filter { name: "NodeResourcesFit", filter, helped_by: &[Event::Node, Event::PodGone] };
pub const SCORE: Score =
    Score { name: "NodeResourcesFit", weight: 1, score: least_allocated, normalize: Normalize::None };

fn filter(shape: &Shape, node: &NodeInfo) -> Option<Reasons> {
    let mut reasons = Vec::new();
    if node.pods + 1 > node.pods_max {
        reasons.push("Too many pods".to_owned());
    }
    let lacking = shape.requests.lacking(&node.allocatable, &node.requested);
    reasons.extend(lacking.into_iter().map(|name| format!("Insufficient {name}")));
    (!reasons.is_empty()).then_some(reasons)
}

/// The mean of what stays free of CPU and of memory, in percent, with the pod on the node.
fn least_allocated(shape: &Shape, node: &NodeInfo) -> i64 {
    let free = |allocatable: i128, used: i128| {
        if allocatable <= 0 || used >= allocatable {
            return 0;
        }
        i64::try_from((allocatable - used) * i128::from(SCORE_MAX) / allocatable).unwrap_or(SCORE_MAX)
    };
    let cpu = free(node.allocatable.millicpu, node.weighed.millicpu + shape.weight.millicpu);
    // In MiB, which is fine enough.
    let memory = free(node.allocatable.memory >> 20, (node.weighed.memory + shape.weight.memory) >> 20);
    i64::midpoint(cpu, memory)
}
