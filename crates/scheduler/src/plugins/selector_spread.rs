//! Pods of one owner go apart: a node is the better, the fewer pods of the same owner it has.
//!
//! Kubernetes gets this from PodTopologySpread's default constraints, which look at all nodes of a domain together. Here it
//! is a function of the one node, so that placing a pod changes the rank of one node only.

use super::{Normalize, SCORE_MAX, Score};
use crate::node::NodeInfo;
use crate::pod::Shape;

pub const SCORE: Score =
    Score { name: "SelectorSpread", weight: 2, score: fewest_siblings, normalize: Normalize::None };

fn fewest_siblings(shape: &Shape, node: &NodeInfo) -> i64 {
    let siblings = node.owners.get(&shape.owner_uid).copied().unwrap_or(0);
    SCORE_MAX / (1 + i64::try_from(siblings).unwrap_or(SCORE_MAX))
}
