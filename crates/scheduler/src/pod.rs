//! What scheduling needs to know of a pod.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeSelectorTerm, Pod, PodSpec, PodStatus, PreferredSchedulingTerm, Toleration};
use keelson_client::Key;
use keelson_types::{Resources, meta, pods};

/// A port of the node that a pod takes: (host address, protocol, port). An empty address means all of them.
pub type HostPort = (String, String, i32);

/// A pod as the scheduler sees it.
#[derive(Clone, Debug)]
pub struct PodInfo {
    pub key: Key,
    pub uid: String,
    /// Higher goes first.
    pub priority: i32,
    /// Where it is bound, or empty.
    pub node_name: String,
    /// Everything that decides where it may go. Pods of one controller share it.
    pub shape: Arc<Shape>,
}

/// What decides where a pod may go and where it goes best. Pods of equal shape are interchangeable for the scheduler, so it
/// filters and scores once for all of them.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What the pod asks for.
    pub requests: Resources,
    /// What it counts for in scores.
    pub weight: Resources,
    pub node_selector: Vec<(String, String)>,
    /// Any of these terms must match; absent means that none is asked for.
    pub required_terms: Option<Vec<NodeSelectorTerm>>,
    pub preferred_terms: Vec<PreferredSchedulingTerm>,
    pub tolerations: Vec<Toleration>,
    pub host_ports: BTreeSet<HostPort>,
    /// The UID of the controller, or empty. Pods of one owner are spread.
    pub owner_uid: String,
    /// Equal for equal shapes.
    pub fingerprint: u64,
}

impl PodInfo {
    /// Reads a pod.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let owner = meta::controller_of(&pod.metadata).map(|owner| owner.uid.clone()).unwrap_or_default();
        Self {
            key: Key::of(pod),
            uid: meta::uid(pod).to_owned(),
            priority: spec.priority.unwrap_or(0),
            node_name: pods::node_name(pod).to_owned(),
            shape: Arc::new(Shape::of(spec, pod.status.as_ref(), owner)),
        }
    }
}

impl Shape {
    /// Reads a pod's specification, and of its status what it was granted.
    #[must_use]
    pub fn of(spec: &PodSpec, status: Option<&PodStatus>, owner_uid: String) -> Self {
        let node_affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let mut shape = Self {
            requests: Resources::requested_by(spec, status),
            weight: Resources::weighed_of(spec, status),
            node_selector: spec.node_selector.clone().unwrap_or_default().into_iter().collect(),
            required_terms: node_affinity
                .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
                .map(|required| required.node_selector_terms.clone()),
            preferred_terms: node_affinity
                .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.clone())
                .unwrap_or_default(),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            host_ports: host_ports(spec),
            owner_uid,
            fingerprint: 0,
        };
        shape.fingerprint = shape.hash();
        shape
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.requests, &self.weight, &self.node_selector, &self.host_ports, &self.owner_uid).hash(&mut hasher);
        // These have no Hash of their own; their Debug text tells them apart.
        format!("{:?}{:?}{:?}", self.required_terms, self.preferred_terms, self.tolerations).hash(&mut hasher);
        hasher.finish()
    }
}

fn host_ports(spec: &PodSpec) -> BTreeSet<HostPort> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let address = port.host_ip.clone().filter(|address| address != "0.0.0.0").unwrap_or_default();
            Some((address, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), number))
        })
        .collect()
}
