//! The picture of the cluster that decisions are made on, kept up to date one change at a time.
//!
//! A node is shared between the picture and its snapshots until it changes (copy on write), so a snapshot costs a pointer a
//! node, and a decision never sees a picture that moves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use keelson_client::Key;

use crate::node::NodeInfo;
use crate::pod::{PodInfo, Shape};

/// Nodes and what runs on them.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    nodes: BTreeMap<String, Arc<NodeInfo>>,
    /// Where every pod counts that is bound or assumed.
    placed: HashMap<Key, Placed>,
}

#[derive(Clone, Debug)]
struct Placed {
    uid: String,
    node: String,
    shape: Arc<Shape>,
    /// Decided by this scheduler and not yet seen as bound.
    assumed: bool,
}

/// All present nodes at one moment, by name.
pub type Snapshot = Vec<Arc<NodeInfo>>;

impl Cluster {
    /// Takes over a node's new state. Whether that could make room for a pod.
    pub fn set_node(&mut self, node: &Node) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let mut changed = false;
        self.change(&name, |info| changed = info.describe(node));
        changed
    }

    /// A node is gone. What is bound to it still counts there, should it come back.
    pub fn remove_node(&mut self, name: &str) {
        self.change(name, |info| info.present = false);
    }

    /// A pod is bound to `pod.node_name`, as the API says. Whether it takes less of a resource than it took there.
    pub fn set_bound(&mut self, pod: &PodInfo) -> bool {
        let before = self.placed.get(&pod.key);
        let freed = before.is_some_and(|placed| placed.shape.requests.exceeds(&pod.shape.requests));
        if let Some(placed) = self.placed.get_mut(&pod.key)
            && placed.uid == pod.uid
            && placed.node == pod.node_name
            && placed.shape.fingerprint == pod.shape.fingerprint
        {
            placed.assumed = false;
            return false;
        }
        self.place(pod, &pod.node_name, false);
        freed
    }

    /// A pod was decided to go to `node`; counts from now on.
    pub fn assume(&mut self, pod: &PodInfo, node: &str) {
        self.place(pod, node, true);
    }

    /// A decision did not come true. Does nothing when the pod was seen bound meanwhile.
    pub fn forget(&mut self, key: &Key) {
        if self.placed.get(key).is_some_and(|placed| placed.assumed) {
            self.remove_pod(key);
        }
    }

    /// Every decision that was not seen bound is forgotten: another leader may have decided otherwise.
    pub fn forget_all(&mut self) {
        let assumed: Vec<Key> =
            self.placed.iter().filter(|(_, placed)| placed.assumed).map(|(key, _)| key.clone()).collect();
        for key in assumed {
            self.remove_pod(&key);
        }
    }

    /// A pod is gone, or has ended. Whether it took room.
    pub fn remove_pod(&mut self, key: &Key) -> bool {
        let Some(placed) = self.placed.remove(key) else { return false };
        self.change(&placed.node, |info| info.remove(&placed.shape));
        true
    }

    /// Whether a decision for this very pod awaits its confirmation.
    #[must_use]
    pub fn is_assumed(&self, pod: &PodInfo) -> bool {
        self.placed.get(&pod.key).is_some_and(|placed| placed.assumed && placed.uid == pod.uid)
    }

    /// The pods that count somewhere.
    pub fn pods(&self) -> impl Iterator<Item = Key> {
        self.placed.keys().cloned()
    }

    /// The present nodes as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.nodes.values().filter(|info| info.present).cloned().collect()
    }

    /// A node that is present.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name).map(AsRef::as_ref).filter(|info| info.present)
    }

    fn place(&mut self, pod: &PodInfo, node: &str, assumed: bool) {
        self.remove_pod(&pod.key);
        let placed = Placed { uid: pod.uid.clone(), node: node.to_owned(), shape: pod.shape.clone(), assumed };
        self.placed.insert(pod.key.clone(), placed);
        self.change(node, |info| info.add(&pod.shape));
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut NodeInfo)) {
        let info = self.nodes.entry(name.to_owned()).or_default();
        change(Arc::make_mut(info));
        if !info.present && info.pods == 0 {
            self.nodes.remove(name);
        }
    }

    /// Checks that each node's sums are those of the pods placed on it.
    ///
    /// # Errors
    /// Names the first node that differs.
    pub fn validate(&self) -> Result<(), String> {
        let mut recounted: BTreeMap<&str, NodeInfo> = BTreeMap::new();
        for placed in self.placed.values() {
            recounted.entry(&placed.node).or_default().add(&placed.shape);
        }
        for (name, info) in &self.nodes {
            let expected = recounted.remove(name.as_str()).unwrap_or_default();
            let differs = expected.pods != info.pods
                || expected.requested != info.requested
                || expected.weighed != info.weighed
                || expected.owners != info.owners
                || expected.host_ports != info.host_ports;
            if differs {
                return Err(format!("{name}: counted {info:?}, expected {expected:?}"));
            }
        }
        recounted.keys().next().map_or(Ok(()), |name| Err(format!("{name} has pods and is not kept")))
    }
}
