//! What a node and its containers use, as members ask for it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use keelson_proto::keelson::node::v1::{ContainerUsage, NodeUsage, Used as Amounts};
use prost::Message as _;

use crate::runtime::Used;
use crate::simulated::WINDOW;

/// A simulated node uses what its containers use, and nothing beside that.
pub fn encode(used: &[Used], now: Timestamp) -> Bytes {
    let containers: Vec<ContainerUsage> = used.iter().map(container).collect();
    let sum = |amount: fn(&Used) -> u64| used.iter().map(amount).fold(0, u64::saturating_add);
    let usage = NodeUsage {
        measured_at_ms: now.as_millisecond(),
        window_ms: millis(WINDOW),
        used: Some(Amounts {
            cpu_nanocores: sum(|used| used.cpu_nanocores),
            memory_bytes: sum(|used| used.memory_bytes),
        }),
        containers,
    };
    usage.encode_to_vec().into()
}

fn container(used: &Used) -> ContainerUsage {
    ContainerUsage {
        pod_uid: used.container.pod_uid.clone(),
        name: used.container.name.clone(),
        window_ms: millis(used.window),
        used: Some(Amounts { cpu_nanocores: used.cpu_nanocores, memory_bytes: used.memory_bytes }),
    }
}

fn millis(window: Duration) -> u32 {
    u32::try_from(window.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ContainerId;

    #[test]
    fn a_node_uses_what_its_containers_use_together() {
        let used = |name: &str, cpu_nanocores, memory_bytes| Used {
            container: ContainerId { pod_uid: "u".to_owned(), name: name.to_owned() },
            cpu_nanocores,
            memory_bytes,
            window: Duration::from_millis(2_500),
        };
        let encoded = encode(&[used("a", 1, 10), used("b", 2, 20)], Timestamp::UNIX_EPOCH);
        let usage = NodeUsage::decode(encoded).expect("is read");
        assert_eq!(usage.used, Some(Amounts { cpu_nanocores: 3, memory_bytes: 30 }));
        assert_eq!((usage.window_ms, usage.containers[1].window_ms), (10_000, 2_500));
        assert_eq!((usage.containers[1].pod_uid.as_str(), usage.containers[1].name.as_str()), ("u", "b"));
    }
}
