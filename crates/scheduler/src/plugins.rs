//! What may keep a pod off a node (filters) and what makes a node better than another (scores). One plugin a file, named as
//! in Kubernetes. All are pure functions of the pod's shape and the node.

mod node_affinity;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod selector_spread;
mod taint_toleration;

use crate::node::NodeInfo;
use crate::pod::Shape;

/// Why a node cannot take a pod, as Kubernetes words it ("Insufficient cpu"). Never empty.
pub type Reasons = Vec<String>;

/// A change of the cluster that may make room for a pod that found none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A node came, or its labels, taints, schedulability or allocatable resources changed.
    Node,
    /// A pod left its node, or takes less of it.
    PodGone,
}

/// Keeps pods off nodes.
pub struct Filter {
    /// As in Kubernetes.
    pub name: &'static str,
    /// Why the node cannot take a pod of this shape; `None` when it can.
    pub filter: fn(&Shape, &NodeInfo) -> Option<Reasons>,
    /// Changes that can turn its answer.
    pub helped_by: &'static [Event],
}

/// Ranks the nodes that passed all filters.
pub struct Score {
    /// As in Kubernetes.
    pub name: &'static str,
    /// How much it counts beside the others.
    pub weight: i64,
    /// From 0 (worst) to 100 (best), or any number of 0 and more if `normalize` says how to bring it there.
    pub score: fn(&Shape, &NodeInfo) -> i64,
    pub normalize: Normalize,
}

/// How raw scores become scores from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// They are already.
    None,
    /// The highest of all nodes becomes 100.
    HighestIsBest,
    /// The highest of all nodes becomes 0, and 0 becomes 100.
    LowestIsBest,
}

/// The best score.
pub const SCORE_MAX: i64 = 100;

/// In the order in which they are asked; the first that refuses decides, so cheap and telling ones come first.
pub const FILTERS: [Filter; 5] = [
    node_unschedulable::FILTER,
    taint_toleration::FILTER,
    node_affinity::FILTER,
    node_ports::FILTER,
    node_resources_fit::FILTER,
];

/// Weights as in Kubernetes' default profile; spreading by owner stands in for topology spread's default constraints.
pub const SCORES: [Score; 4] =
    [taint_toleration::SCORE, node_affinity::SCORE, node_resources_fit::SCORE, selector_spread::SCORE];

/// The first filter that refuses, with its reasons.
#[must_use]
pub fn refusal(shape: &Shape, node: &NodeInfo) -> Option<(&'static Filter, Reasons)> {
    const ALL: &[Filter] = &FILTERS;
    ALL.iter().find_map(|filter| Some((filter, (filter.filter)(shape, node)?)))
}
