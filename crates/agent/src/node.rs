//! What a node says of itself: its object, its Ready condition, its lease. Pure.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use keelson_types::meta;

use crate::options::Capacity;

/// Where node leases are, as in Kubernetes.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";
/// The lease's duration in renewals.
const LEASE_RENEWALS: u64 = 4;

/// On a node object: `true` makes its simulated machine fail. It renews no lease, its containers are gone, and it reports
/// nothing, until the annotation is removed.
pub const DEAD: &str = "simulation.keelson.dev/dead";

/// Whether the node is to behave as if its machine had failed.
#[must_use]
pub fn is_dead(node: &Node) -> bool {
    meta::annotation(node, DEAD) == Some("true")
}

/// A node that registers itself.
#[must_use]
pub fn node(name: &str, capacity: &Capacity, now: Timestamp) -> Node {
    let resources: BTreeMap<String, Quantity> = [
        ("cpu", capacity.cpu.clone()),
        ("memory", capacity.memory.clone()),
        ("ephemeral-storage", capacity.ephemeral_storage.clone()),
        ("pods", capacity.pods.to_string()),
    ]
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .into();
    let labels = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
    ];
    let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { provider_id: Some(format!("simulated://{name}")), ..NodeSpec::default() }),
        status: Some(NodeStatus {
            capacity: Some(resources.clone()),
            allocatable: Some(resources),
            addresses: Some(vec![
                address("InternalIP", internal_ip(name).to_string()),
                address("Hostname", name.to_owned()),
            ]),
            conditions: Some(conditions(None, now)),
            node_info: Some(NodeSystemInfo {
                architecture: "amd64".to_owned(),
                operating_system: "linux".to_owned(),
                os_image: "Keelson simulated node".to_owned(),
                kernel_version: "simulated".to_owned(),
                container_runtime_version: "simulated://1".to_owned(),
                kubelet_version: concat!("v1.36.0-keelson.", env!("CARGO_PKG_VERSION")).to_owned(),
                ..NodeSystemInfo::default()
            }),
            ..NodeStatus::default()
        }),
    }
}

/// The conditions of a healthy node. One that was already so keeps the time of its last change.
#[must_use]
pub fn conditions(present: Option<&Node>, now: Timestamp) -> Vec<NodeCondition> {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let known = present.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
        let before = known.into_iter().flatten().find(|before| before.type_ == kind && before.status == status);
        NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(meta::whole_seconds(now)),
            last_transition_time: before
                .and_then(|before| before.last_transition_time.clone())
                .or_else(|| Some(meta::whole_seconds(now))),
        }
    };
    vec![
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
}

/// Whether the node's conditions say that it is healthy.
#[must_use]
pub fn says_ready(node: &Node) -> bool {
    let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A fresh lease of a node. `owner` is the node's UID, so that the lease goes with the node.
#[must_use]
pub fn lease(name: &str, owner: &str, interval: Duration, now: Timestamp) -> Lease {
    let seconds = i32::try_from((interval.as_secs().max(1)) * LEASE_RENEWALS).unwrap_or(i32::MAX);
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(LEASE_NAMESPACE.to_owned()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: name.to_owned(),
                uid: owner.to_owned(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// The address of a simulated node: from its name, within 10.64.0.0/12.
#[must_use]
pub fn internal_ip(name: &str) -> Ipv4Addr {
    address([10, 64, 0, 0], 20, name)
}

/// The address that a simulated pod would like: from its UID, within 10.128.0.0/9. Whoever hands it out sees that no two pods
/// of one process get the same.
#[must_use]
pub fn pod_ip(uid: &str, attempt: u32) -> Ipv4Addr {
    address([10, 128, 0, 0], 23, &(uid, attempt))
}

fn address(network: [u8; 4], host_bits: u32, of: &(impl Hash + ?Sized)) -> Ipv4Addr {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    // Neither the first nor the last address of the network.
    let host = hasher.finish() as u32 % ((1 << host_bits) - 2) + 1;
    Ipv4Addr::from_bits(u32::from_be_bytes(network) | host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_did_not_change_keeps_its_time() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).expect("a time");
        let capacity = crate::Options::new(vec![], vec![], None).capacity;
        let mut node = node("n", &capacity, at(0));
        let ready = |conditions: &[NodeCondition]| {
            conditions.iter().find(|condition| condition.type_ == "Ready").cloned().expect("Ready")
        };
        assert_eq!(ready(&conditions(Some(&node), at(60))).last_transition_time, Some(meta::whole_seconds(at(0))));
        for condition in node.status.iter_mut().filter_map(|status| status.conditions.as_mut()).flatten() {
            condition.status = "Unknown".to_owned();
        }
        assert!(!says_ready(&node));
        assert_eq!(ready(&conditions(Some(&node), at(60))).last_transition_time, Some(meta::whole_seconds(at(60))));
    }

    #[test]
    fn addresses_stay_in_their_networks() {
        for name in ["a", "b", "node-1", "node-2"] {
            assert_eq!(internal_ip(name).octets()[0], 10);
            assert!((64..80).contains(&internal_ip(name).octets()[1]));
            assert!(pod_ip(name, 0).octets()[1] >= 128);
        }
        assert_ne!(pod_ip("a", 0), pod_ip("a", 1));
    }
}
