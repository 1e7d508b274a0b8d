//! A node that stops renewing its lease is marked, tainted, and given up.
//!
//! Whether a lease is renewed is judged by when this member saw it change, never by comparing clocks of two machines.
//! Every member observes leases, leading or not, so that a new leader does not wait for the grace period again.
//!
//! Each round makes one step: conditions, then taints, then the readiness of the node's pods. Deleting the pods is
//! [`evict`]'s, driven by the taints alone.
//!
//! When every node is lost, the fault is more likely on this side: nothing is given up then, as in Kubernetes.

pub mod evict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use keelson_client::Error;
use keelson_types::{meta, pods};
use parking_lot::Mutex;

use crate::Options;
use crate::caches::{Caches, NODE};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, WRITES_MAX, Write};

/// Where nodes keep their leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
/// The conditions that a lost node can no longer vouch for.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Taints that follow a condition or a field, all NoSchedule.
const PRESSURE_TAINTS: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// What is known about one node.
pub struct Snapshot {
    pub node: Option<Arc<Node>>,
    /// How long ago this member last saw a sign of life.
    pub silent_for: Duration,
    pub grace: Duration,
    /// Whether no node at all is ready.
    pub all_lost: bool,
    /// How long giving up another node must wait; zero when it may be now.
    pub eviction_wait: Duration,
    /// The pods bound to the node.
    pub pods: Vec<Arc<Pod>>,
}

/// The taints of a node.
pub fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten())
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// `True`, `False` or `Unknown`.
pub fn ready_status(node: &Node) -> &str {
    condition(node, "Ready").map_or("Unknown", |ready| ready.status.as_str())
}

/// Plans the next step for the node `key`.
pub fn plan(snapshot: &Snapshot, key: &str, now: Timestamp) -> Plan {
    let Some(node) = snapshot.node.as_deref() else { return Plan::nothing(format!("{key} is gone")) };
    let mut plan = Plan::default();
    let lost = snapshot.silent_for >= snapshot.grace;
    if !lost {
        plan.requeue(snapshot.grace - snapshot.silent_for);
    } else if let Some(updated) = unknown(node, now) {
        plan.because(format!("no sign of life for {} s", snapshot.silent_for.as_secs()));
        plan.notes.push(not_ready_note(node));
        plan.writes.push(Write::UpdateStatus(updated.into()));
        return plan;
    }
    if let Some(updated) = tainted(snapshot, node, now, &mut plan) {
        plan.writes.push(Write::Update(updated.into()));
        return plan;
    }
    if ready_status(node) == "True" {
        plan.because("the node is ready");
        return plan;
    }
    plan.because("the node is not ready");
    unready_pods(snapshot, now, &mut plan);
    plan
}

fn not_ready_note(node: &Node) -> Note {
    Note::normal(node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", meta::name(node)))
}

/// The node with what nobody vouches for any more; absent when that is told already.
fn unknown(node: &Node, now: Timestamp) -> Option<Node> {
    let mut updated = node.clone();
    let conditions = updated.status.get_or_insert_default().conditions.get_or_insert_default();
    let mut changed = false;
    for kind in CONDITIONS {
        let (reason, message) = match conditions.iter().any(|condition| condition.type_ == kind) {
            true => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            false => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let known = conditions.iter_mut().find(|condition| condition.type_ == kind);
        if known.as_ref().is_some_and(|known| known.status == "Unknown") {
            continue;
        }
        changed = true;
        let told = NodeCondition {
            type_: kind.to_owned(),
            status: "Unknown".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: known.as_ref().and_then(|known| known.last_heartbeat_time.clone()),
            last_transition_time: Some(meta::whole_seconds(now)),
        };
        match known {
            Some(known) => *known = told,
            None => conditions.push(told),
        }
    }
    changed.then_some(updated)
}

/// The node with the taints that its state asks for; absent when it has them.
fn tainted(snapshot: &Snapshot, node: &Node, now: Timestamp, plan: &mut Plan) -> Option<Node> {
    let cause = match ready_status(node) {
        "True" => None,
        "False" => Some(NOT_READY),
        _ => Some(UNREACHABLE),
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, key) in PRESSURE_TAINTS {
        if condition(node, kind).is_some_and(|condition| condition.status == "True") {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    if let Some(cause) = cause {
        wanted.push((cause, NO_SCHEDULE));
        let evicting = taints(node).any(|taint| taint.effect == NO_EXECUTE && is_health(&taint.key));
        if snapshot.all_lost {
            plan.because("no node is ready, so none is given up");
        } else if evicting || snapshot.eviction_wait.is_zero() {
            wanted.push((cause, NO_EXECUTE));
        } else {
            plan.because("another node was given up just now");
            plan.requeue(snapshot.eviction_wait);
        }
    }
    let managed = |taint: &Taint| {
        is_health(&taint.key)
            || (taint.effect == NO_SCHEDULE
                && (taint.key == UNSCHEDULABLE || PRESSURE_TAINTS.iter().any(|(_, key)| taint.key == *key)))
    };
    let mut kept: Vec<Taint> = taints(node)
        .filter(|taint| !managed(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str())))
        .cloned()
        .collect();
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|(key, effect)| !kept.iter().any(|taint| taint.key == *key && taint.effect == *effect))
        .collect();
    if missing.is_empty() && kept.len() == taints(node).count() {
        return None;
    }
    for (key, effect) in missing {
        plan.because(format!("tainted {key}:{effect}"));
        kept.push(Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            value: None,
            time_added: Some(meta::whole_seconds(now)),
        });
    }
    if cause.is_none() {
        plan.because("the node is ready");
    }
    let mut updated = node.clone();
    updated.spec.get_or_insert_default().taints = (!kept.is_empty()).then_some(kept);
    Some(updated)
}

fn is_health(key: &str) -> bool {
    key == NOT_READY || key == UNREACHABLE
}

/// Pods of a node that is not ready are not ready either, so that Services stop sending to them.
fn unready_pods(snapshot: &Snapshot, now: Timestamp, plan: &mut Plan) {
    for pod in snapshot.pods.iter().filter(|pod| pods::is_ready(pod)).take(WRITES_MAX) {
        let mut updated = Pod::clone(pod);
        let conditions = updated.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten());
        for ready in conditions.filter(|condition| condition.type_ == "Ready") {
            ready.status = "False".to_owned();
            ready.reason = Some("NodeNotReady".to_owned());
            ready.last_transition_time = Some(meta::whole_seconds(now));
        }
        plan.independent = true;
        plan.writes.push(Write::UpdateStatus(updated.into()));
        plan.notes.push(Note::warning(pod.as_ref(), "NodeNotReady", "Node is not ready".to_owned()));
    }
}

/// The last sign of life of one node.
struct Observation {
    /// What the lease and the node said then.
    sign: Sign,
    seen: Instant,
}

#[derive(Clone, PartialEq)]
struct Sign {
    renewed: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
}

pub(crate) struct Loop {
    caches: Caches,
    grace: Duration,
    period: Duration,
    eviction_interval: Duration,
    observations: Mutex<HashMap<String, Observation>>,
    /// Which node was given up last, and when.
    given_up: Mutex<Option<(String, Instant)>>,
}

impl Loop {
    pub fn new(caches: Caches, options: &Options) -> Self {
        Self {
            caches,
            grace: options.node_monitor_grace,
            period: options.node_monitor_period,
            eviction_interval: options.node_eviction_interval,
            observations: Mutex::default(),
            given_up: Mutex::default(),
        }
    }

    /// Takes note of how the node and its lease look now, and tells how long that has been so.
    fn observe(&self, name: &str) -> Duration {
        let node = self.caches.nodes.get("", name);
        let mut observations = self.observations.lock();
        if node.is_none() {
            observations.remove(name);
            return Duration::ZERO;
        }
        let lease = self.caches.leases.get(LEASE_NAMESPACE, name);
        let renewed = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
        let heartbeat =
            node.as_deref().and_then(|node| condition(node, "Ready")).filter(|ready| ready.status != "Unknown");
        let sign = Sign {
            renewed: lease.as_deref().and_then(renewed),
            heartbeat: heartbeat.and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0),
        };
        let now = Instant::now();
        let observation =
            observations.entry(name.to_owned()).or_insert_with(|| Observation { sign: sign.clone(), seen: now });
        // Losing a sign is none.
        let newer = sign.renewed > observation.sign.renewed || sign.heartbeat > observation.sign.heartbeat;
        if newer || (sign.renewed.is_some() && sign.renewed < observation.sign.renewed) {
            observation.seen = now;
        }
        observation.sign = sign;
        now.duration_since(observation.seen)
    }

    fn eviction_wait(&self, name: &str) -> Duration {
        match &*self.given_up.lock() {
            Some((last, at)) if last != name => self.eviction_interval.saturating_sub(at.elapsed()),
            _ => Duration::ZERO,
        }
    }
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "node-lifecycle";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        let this = self.clone();
        signals.on(&self.caches.nodes, move |change| {
            this.observe(&change.key.name);
            vec![change.key.name.clone()]
        });
        let this = self.clone();
        signals.on(&self.caches.leases, move |change| {
            if change.key.namespace == LEASE_NAMESPACE {
                this.observe(&change.key.name);
            }
            // A renewal changes no plan: the node's own timer comes round.
            Vec::new()
        });
        signals.every(self.period);
    }

    fn keys(&self) -> Vec<String> {
        self.caches.nodes.keys().into_iter().map(|key| key.name).collect()
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        let silent_for = self.observe(key);
        let node = self.caches.nodes.get("", key);
        let ready = node.as_deref().is_some_and(|node| ready_status(node) == "True");
        let snapshot = Snapshot {
            silent_for,
            grace: self.grace,
            all_lost: !ready && self.caches.nodes.list().iter().all(|node| ready_status(node) != "True"),
            eviction_wait: self.eviction_wait(key),
            pods: if ready { Vec::new() } else { self.caches.pods.by_index(NODE, key) },
            node,
        };
        let plan = plan(&snapshot, key, Timestamp::now());
        if plan.writes.iter().any(|write| gives_up(write, snapshot.node.as_deref())) {
            *self.given_up.lock() = Some((key.clone(), Instant::now()));
        }
        Ok(plan)
    }
}

/// Whether the write adds the first NoExecute taint of a lost node.
fn gives_up(write: &Write, before: Option<&Node>) -> bool {
    let evicts = |node: &Node| taints(node).any(|taint| taint.effect == NO_EXECUTE && is_health(&taint.key));
    match write {
        Write::Update(crate::plan::Item::Node(node)) => evicts(node) && !before.is_some_and(evicts),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
