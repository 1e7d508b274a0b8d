//! What simulated containers use: always as much, from when they run.

use std::time::Duration;

use jiff::Timestamp;

use super::Simulated;
use crate::runtime::Used;

/// Over which time the use of cores is an average.
pub const WINDOW: Duration = Duration::from_secs(10);

impl Simulated {
    /// What the running containers of a node's pods use.
    pub(super) fn used_on(&self, node: &str, now: Timestamp) -> Vec<Used> {
        let pods = self.nodes.get(node).into_iter().flatten();
        let containers = pods.flat_map(|uid| self.of_pod(uid));
        let used = containers.filter_map(|(id, container)| {
            let age = now.duration_since(container.running_since?).unsigned_abs();
            Some(Used {
                container: id.clone(),
                cpu_nanocores: container.behaviour.cpu_nanocores,
                memory_bytes: container.behaviour.memory_bytes,
                window: age.clamp(Duration::from_millis(1), WINDOW),
            })
        });
        used.collect()
    }
}
