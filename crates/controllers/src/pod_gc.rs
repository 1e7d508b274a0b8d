//! Removes pods that nobody will end: bound to a node that no longer exists, or terminating without a node, or terminating
//! on a node that an operator declared out of service.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Pod};
use keelson_client::{Client, Error};
use keelson_types::{meta, pods};
use parking_lot::Mutex;

use crate::caches::{Caches, NODE};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, WRITES_MAX, Write};
use crate::{Options, node_lifecycle};

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Where pods may be stranded; the empty name stands for pods without a node.
pub struct Snapshot {
    pub node: Option<Arc<Node>>,
    /// How long the node has been missing, as far as this member knows; zero when it is not missing.
    pub missing_for: Duration,
    pub pods: Vec<Arc<Pod>>,
}

/// Plans removals on the node `key`.
pub fn plan(snapshot: &Snapshot, key: &str, quarantine: Duration) -> Plan {
    if snapshot.pods.is_empty() {
        return Plan::nothing("no pods");
    }
    let (stranded, why): (Vec<&Arc<Pod>>, &'static str) = if key.is_empty() {
        (snapshot.pods.iter().filter(|pod| meta::is_deleting(pod.as_ref())).collect(), "no node will end the pod")
    } else if let Some(node) = &snapshot.node {
        let out_of_service = node_lifecycle::taints(node).any(|taint| taint.key == OUT_OF_SERVICE);
        if !out_of_service || node_lifecycle::ready_status(node) == "True" {
            return Plan::nothing("the node exists");
        }
        (snapshot.pods.iter().filter(|pod| meta::is_deleting(pod.as_ref())).collect(), "the node is out of service")
    } else if snapshot.missing_for < quarantine {
        let mut plan = Plan::nothing("the node may still come");
        plan.requeue(quarantine - snapshot.missing_for);
        return plan;
    } else {
        (snapshot.pods.iter().collect(), "the node no longer exists")
    };
    let mut plan = Plan { independent: true, ..Plan::default() };
    for pod in stranded.iter().take(WRITES_MAX) {
        plan.writes.push(Write::delete(pod.as_ref(), Some(0)));
        if !key.is_empty() {
            let message = format!("PodGC: {why}: {key}");
            plan.notes.push(Note::normal(pod.as_ref(), "DeletingPod", message));
        }
    }
    plan.because(why);
    if stranded.len() > WRITES_MAX {
        plan.requeue(Duration::ZERO);
    }
    plan
}

pub(crate) struct Loop {
    caches: Caches,
    client: Client,
    quarantine: Duration,
    missing_since: Mutex<HashMap<String, Instant>>,
}

impl Loop {
    pub fn new(caches: Caches, client: Client, options: &Options) -> Self {
        let quarantine = options.missing_node_quarantine;
        Self { caches, client, quarantine, missing_since: Mutex::default() }
    }

    /// How long the node has been missing since this member noticed.
    fn missing_for(&self, key: &str, missing: bool) -> Duration {
        let mut since = self.missing_since.lock();
        if missing {
            since.entry(key.to_owned()).or_insert_with(Instant::now).elapsed()
        } else {
            since.remove(key);
            Duration::ZERO
        }
    }
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "podgc";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        signals.on(&self.caches.nodes, |change| vec![change.key.name.clone()]);
        let caches = self.caches.clone();
        signals.on(&self.caches.pods, move |change| match &change.new {
            Some(pod) if pods::node_name(pod).is_empty() => {
                if meta::is_deleting(pod.as_ref()) {
                    vec![String::new()]
                } else {
                    Vec::new()
                }
            }
            Some(pod) if caches.nodes.get("", pods::node_name(pod)).is_none() => vec![pods::node_name(pod).to_owned()],
            _ => Vec::new(),
        });
    }

    fn keys(&self) -> Vec<String> {
        let mut nodes: Vec<String> =
            self.caches.pods.list().iter().map(|pod| pods::node_name(pod.as_ref()).to_owned()).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        if key.is_empty() {
            let pods = self.caches.pods.list();
            let pods = pods.into_iter().filter(|pod| pods::node_name(pod).is_empty()).collect();
            return Ok(plan(&Snapshot { node: None, missing_for: Duration::ZERO, pods }, key, self.quarantine));
        }
        let mut node = self.caches.nodes.get("", key);
        let mut missing_for = self.missing_for(key, node.is_none());
        let pods = self.caches.pods.by_index(NODE, key);
        if node.is_none() && !pods.is_empty() && missing_for >= self.quarantine {
            // The cache may lag; a removal that cannot be undone needs certainty.
            node = self.client.get_opt::<Node>("", key).await?.map(Arc::new);
            if node.is_some() {
                missing_for = self.missing_for(key, false);
            }
        } else if node.is_none() && pods.is_empty() {
            missing_for = self.missing_for(key, false);
        }
        Ok(plan(&Snapshot { node, missing_for, pods }, key, self.quarantine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(node: Option<Node>, missing_for: u64) -> Snapshot {
        let mut pod = Pod::default();
        pod.metadata.name = Some("web".to_owned());
        pod.metadata.namespace = Some("blue".to_owned());
        let missing_for = Duration::from_secs(missing_for);
        Snapshot { node: node.map(Arc::new), missing_for, pods: vec![Arc::new(pod)] }
    }

    #[test]
    fn pods_of_a_missing_node_go_after_the_quarantine() {
        let quarantine = Duration::from_secs(40);
        let planned = |snapshot| plan(&snapshot, "n1", quarantine).to_string();
        assert_eq!(planned(snapshot(None, 10)), "nothing: the node may still come (again in 30.0 s)");
        assert_eq!(planned(snapshot(None, 40)), "delete pods blue/web: the node no longer exists");
        assert_eq!(planned(snapshot(Some(Node::default()), 0)), "nothing: the node exists");
    }
}
