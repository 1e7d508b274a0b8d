//! What scheduling needs to know of a node, and of what runs on it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use keelson_types::Resources;
use keelson_types::quantity::Quantity;

use crate::pod::{HostPort, Shape};

/// Pods on a node that does not say how many it takes; the kubelet's own default.
const PODS_UNSTATED: i64 = 110;

/// A node with the sum of the pods that are bound to it or assumed on it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    pub allocatable: Resources,
    /// How many pods it takes.
    pub pods_max: i64,
    /// How many pods it has.
    pub pods: i64,
    pub requested: Resources,
    /// As `requested`, with pods that state nothing counted as small ones.
    pub weighed: Resources,
    pub host_ports: BTreeMap<HostPort, usize>,
    /// How many pods of each owner it has.
    pub owners: BTreeMap<String, usize>,
    /// Whether the node itself was seen. Pods may be seen before their node, or stay behind it.
    pub present: bool,
}

impl NodeInfo {
    /// Takes over what the node says of itself; what runs on it stays. Whether that could make room for a pod.
    pub fn describe(&mut self, node: &Node) -> bool {
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        let allocatable = status.allocatable.as_ref().or(status.capacity.as_ref());
        let described = Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            pods_max: allocatable
                .and_then(|list| list.get("pods"))
                .and_then(|pods| pods.0.parse::<Quantity>().ok())
                .map_or(PODS_UNSTATED, Quantity::units),
            allocatable: Resources::of(allocatable),
            present: true,
            ..Self::default()
        };
        let changed = !self.present
            || self.labels != described.labels
            || self.taints != described.taints
            || self.unschedulable != described.unschedulable
            || self.allocatable != described.allocatable
            || self.pods_max != described.pods_max;
        let Self { pods, requested, weighed, host_ports, owners, .. } = std::mem::take(self);
        *self = Self { pods, requested, weighed, host_ports, owners, ..described };
        changed
    }

    /// Counts a pod in.
    pub fn add(&mut self, shape: &Shape) {
        self.pods += 1;
        self.requested.add(&shape.requests);
        self.weighed.add(&shape.weight);
        for port in &shape.host_ports {
            *self.host_ports.entry(port.clone()).or_default() += 1;
        }
        if !shape.owner_uid.is_empty() {
            *self.owners.entry(shape.owner_uid.clone()).or_default() += 1;
        }
    }

    /// Counts a pod out that was counted in.
    pub fn remove(&mut self, shape: &Shape) {
        self.pods -= 1;
        self.requested.subtract(&shape.requests);
        self.weighed.subtract(&shape.weight);
        for port in &shape.host_ports {
            decrement(&mut self.host_ports, port);
        }
        if !shape.owner_uid.is_empty() {
            decrement(&mut self.owners, &shape.owner_uid);
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
