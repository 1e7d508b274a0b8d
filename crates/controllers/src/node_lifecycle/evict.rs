//! Deletes pods from nodes with NoExecute taints, when their tolerations end.
//!
//! Source: Kubernetes' taint eviction controller. The pods are only marked: on a dead node they stay terminating until the
//! node is back or gone, while their controllers already replace them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use keelson_client::Error;
use keelson_types::meta;
use keelson_types::pods;

use super::{NO_EXECUTE, is_health, taints};
use crate::Options;
use crate::caches::{Caches, NODE};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, WRITES_MAX, Write};

/// What is known about one node.
pub struct Snapshot {
    pub node: Option<Arc<Node>>,
    pub pods: Vec<Arc<Pod>>,
    /// How long pods without a toleration of their own stay on a lost node.
    pub eviction_after: Duration,
}

/// Plans which pods leave the node `key` now, and when to look again.
pub fn plan(snapshot: &Snapshot, key: &str, now: Timestamp) -> Plan {
    let Some(node) = snapshot.node.as_deref() else { return Plan::nothing(format!("{key} is gone")) };
    let taints: Vec<&Taint> = taints(node).filter(|taint| taint.effect == NO_EXECUTE).collect();
    if taints.is_empty() {
        return Plan::nothing("no taint evicts");
    }
    let mut plan = Plan { independent: true, ..Plan::default() };
    for pod in snapshot.pods.iter().filter(|pod| pods::is_active(pod)) {
        let Some(stays) = stays(pod, &taints, snapshot.eviction_after, now) else { continue };
        if !stays.is_zero() {
            plan.requeue(stays);
        } else if plan.writes.len() < WRITES_MAX {
            let message = format!("Marking for deletion Pod {}", meta::Key::of(pod.as_ref()));
            plan.notes.push(Note::normal(pod.as_ref(), "TaintManagerEviction", message));
            plan.writes.push(Write::delete(pod.as_ref(), None));
        } else {
            plan.requeue(Duration::ZERO);
        }
    }
    plan.because(if plan.is_nothing() { "no toleration has ended" } else { "tolerations have ended" });
    plan
}

/// How much longer the pod may stay; absent when it may for ever.
fn stays(pod: &Pod, taints: &[&Taint], eviction_after: Duration, now: Timestamp) -> Option<Duration> {
    let tolerations: Vec<&Toleration> = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten()).collect();
    let ends = taints.iter().filter_map(|taint| {
        let since = taint.time_added.as_ref().map_or(now, |time| time.0);
        let passed = Duration::from_secs(now.duration_since(since).as_secs().max(0).unsigned_abs());
        let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if matching.is_empty() {
            let allowed = if is_health(&taint.key) { eviction_after } else { Duration::ZERO };
            return Some(allowed.saturating_sub(passed));
        }
        let seconds = matching.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
        Some(Duration::from_secs(seconds.max(0).unsigned_abs()).saturating_sub(passed))
    });
    ends.min()
}

/// Kubernetes' `ToleratesTaint`.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        Some(_) => false,
    }
}

pub(crate) struct Loop {
    caches: Caches,
    eviction_after: Duration,
}

impl Loop {
    pub fn new(caches: Caches, options: &Options) -> Self {
        Self { caches, eviction_after: options.pod_eviction_after }
    }
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "taint-eviction";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        signals.on(&self.caches.nodes, |change| {
            let evicts = |node: &Arc<Node>| taints(node).any(|taint| taint.effect == NO_EXECUTE);
            if change.new.as_ref().is_some_and(evicts) { vec![change.key.name.clone()] } else { Vec::new() }
        });
        let caches = self.caches.clone();
        signals.on(&self.caches.pods, move |change| {
            let node = change.new.as_deref().map(pods::node_name).filter(|node| !node.is_empty());
            let node = node.and_then(|name| caches.nodes.get("", name));
            node.filter(|node| taints(node).any(|taint| taint.effect == NO_EXECUTE))
                .map(|node| meta::name(node.as_ref()).to_owned())
                .into_iter()
                .collect()
        });
    }

    fn keys(&self) -> Vec<String> {
        self.caches.nodes.keys().into_iter().map(|key| key.name).collect()
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        let snapshot = Snapshot {
            node: self.caches.nodes.get("", key),
            pods: self.caches.pods.by_index(NODE, key),
            eviction_after: self.eviction_after,
        };
        Ok(plan(&snapshot, key, Timestamp::now()))
    }
}
