//! Places a batch of pods. Pure: the same cluster, pods and seed give the same decisions.
//!
//! Pods of equal shape are interchangeable, so a run of them is filtered and scored once: all nodes go into a heap by score,
//! the best node is taken for the first pod, only that node is looked at again, and so on. A batch of *p* pods on *n*
//! nodes thus costs *n + p log n* looks per shape instead of *n × p*.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::cluster::{Cluster, Snapshot};
use crate::node::NodeInfo;
use crate::plugins::{self, Event, Normalize, SCORE_MAX, SCORES};
use crate::pod::{PodInfo, Shape};

/// What was decided about a pod.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It goes to this node, where it is assumed already.
    Place { pod: PodInfo, node: String },
    /// No node can take it.
    Reject { pod: PodInfo, refusal: Refusal },
}

/// Why no node can take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
    pub message: String,
    /// The changes after which it is worth another try.
    pub helped_by: BTreeSet<Event>,
}

/// Decides for every pod, in order of priority, and assumes what it decides.
pub fn decide(cluster: &mut Cluster, pods: Vec<PodInfo>, seed: u64) -> Vec<Decision> {
    let mut decisions = Vec::with_capacity(pods.len());
    for run in runs(pods) {
        let mut ranking = Ranking::of(cluster, run[0].shape.clone(), seed);
        for pod in run {
            decisions.push(match ranking.take_best() {
                Some(node) => {
                    cluster.assume(&pod, &node);
                    ranking.look_again(cluster, &node);
                    Decision::Place { pod, node }
                }
                None => {
                    let refusal = ranking.refusal(cluster);
                    Decision::Reject { pod, refusal }
                }
            });
        }
    }
    decisions
}

/// Groups pods of one priority and shape, in the order in which the first of each came.
fn runs(pods: Vec<PodInfo>) -> Vec<Vec<PodInfo>> {
    let mut places: HashMap<(i32, u64), usize> = HashMap::new();
    let mut runs: Vec<Vec<PodInfo>> = Vec::new();
    for pod in pods {
        let place = *places.entry((pod.priority, pod.shape.fingerprint)).or_insert(runs.len());
        if place == runs.len() {
            runs.push(Vec::new());
        }
        runs[place].push(pod);
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run[0].priority));
    runs
}

/// The nodes that can take a shape, best first.
struct Ranking {
    shape: Arc<Shape>,
    heap: BinaryHeap<Ranked>,
    /// The parts of a node's score that are relative to the other nodes. Pods of the run do not change them.
    relative: HashMap<String, i64>,
    seed: u64,
    /// Kept for the rest of the run: nothing changes any more once no node is left.
    refusal: Option<Refusal>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    score: i64,
    /// Decides between equals.
    lot: u64,
    node: String,
}

impl Ranking {
    fn of(cluster: &Cluster, shape: Arc<Shape>, seed: u64) -> Self {
        let snapshot = cluster.snapshot();
        let able: Vec<&NodeInfo> =
            snapshot.iter().map(AsRef::as_ref).filter(|node| plugins::refusal(&shape, node).is_none()).collect();
        let relative = relative_scores(&shape, &able);
        let mut ranking = Self { shape, heap: BinaryHeap::with_capacity(able.len()), relative, seed, refusal: None };
        for node in able {
            ranking.push(node);
        }
        ranking
    }

    fn push(&mut self, node: &NodeInfo) {
        let own = SCORES.iter().filter(|score| score.normalize == Normalize::None);
        let own: i64 = own.map(|score| score.weight * (score.score)(&self.shape, node)).sum();
        let mut hasher = DefaultHasher::new();
        (self.seed, self.shape.fingerprint, node.pods, &node.name).hash(&mut hasher);
        let score = own + self.relative.get(&node.name).copied().unwrap_or(0);
        self.heap.push(Ranked { score, lot: hasher.finish(), node: node.name.clone() });
    }

    fn take_best(&mut self) -> Option<String> {
        self.heap.pop().map(|ranked| ranked.node)
    }

    /// A pod was placed on `node`: it stays in the ranking if it can take another.
    fn look_again(&mut self, cluster: &Cluster, node: &str) {
        if let Some(node) = cluster.node(node)
            && plugins::refusal(&self.shape, node).is_none()
        {
            self.push(node);
        }
    }

    fn refusal(&mut self, cluster: &Cluster) -> Refusal {
        self.refusal.get_or_insert_with(|| refusal(&self.shape, &cluster.snapshot())).clone()
    }
}

/// The weighted sum of the scores that need all nodes to be compared.
fn relative_scores(shape: &Shape, nodes: &[&NodeInfo]) -> HashMap<String, i64> {
    let mut sums: HashMap<String, i64> = HashMap::new();
    for plugin in SCORES.iter().filter(|score| score.normalize != Normalize::None) {
        let raw: Vec<i64> = nodes.iter().map(|node| (plugin.score)(shape, node)).collect();
        let highest = raw.iter().copied().max().unwrap_or(0);
        for (node, raw) in nodes.iter().zip(raw) {
            let share = if highest == 0 { 0 } else { raw * SCORE_MAX / highest };
            let score = if plugin.normalize == Normalize::LowestIsBest { SCORE_MAX - share } else { share };
            *sums.entry(node.name.clone()).or_default() += plugin.weight * score;
        }
    }
    sums
}

fn refusal(shape: &Shape, snapshot: &Snapshot) -> Refusal {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    // A new node always helps, whatever the present ones say.
    let mut helped_by = BTreeSet::from([Event::Node]);
    for node in snapshot {
        let Some((filter, reasons)) = plugins::refusal(shape, node) else { continue };
        helped_by.extend(filter.helped_by);
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let message = if snapshot.is_empty() {
        "no nodes available to schedule pods".to_owned()
    } else {
        let mut reasons: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        format!("0/{} nodes are available: {}.", snapshot.len(), reasons.join(", "))
    };
    Refusal { message, helped_by }
}

#[cfg(test)]
mod tests;
