//! Is there an order of all operations, each at one moment between its begin and its end, that a sequential model explains?
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of configurations
//! ("Testing for linearizability", 2017), one part of the object at a time (P-compositionality, Horn and Kroening 2015).
//! An operation without an answer may take effect at any time after its begin, or never.
//!
//! **Invariant**: "linearizable" is said only when an order was found for every part, "not linearizable" only when all
//! orders were tried. When the budget ends before, the verdict is "undecided".

mod explanation;
mod search;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::Operation;
use crate::model::Model;

/// The operations of a model's history.
pub type OperationOf<M> = Operation<<M as Model>::Call, <M as Model>::Answer>;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every part has an order that explains all answers.
    Linearizable,
    /// No order explains the answers of some part.
    NotLinearizable {
        /// A few operations of that part that cannot be explained together, for a human.
        explanation: String,
    },
    /// The budget ended before either was shown.
    Undecided {
        /// The parts in question, printed.
        parts: Vec<String>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => write!(f, "linearizable"),
            Self::NotLinearizable { explanation } => write!(f, "NOT linearizable\n{explanation}"),
            Self::Undecided { parts } => {
                write!(f, "undecided: the budget ended before an order was found or excluded for {}", parts.join(", "))
            }
        }
    }
}

/// Bounds of a search. A configuration is a set of operations that took effect, and the state they led to.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Configurations that are remembered for one part, each of about a hundred bytes.
    pub configurations: u64,
    /// Configurations that are spent on making an explanation short, in all.
    pub explanation_configurations: u64,
}

impl Default for Budget {
    /// About 200 MB and some seconds for each part.
    fn default() -> Self {
        Self { configurations: 2_000_000, explanation_configurations: 4_000_000 }
    }
}

/// Checks a history's operations.
pub fn check<M: Model>(operations: &[OperationOf<M>], budget: Budget) -> Verdict {
    let mut parts: BTreeMap<M::Part, Vec<&OperationOf<M>>> = BTreeMap::new();
    for operation in operations {
        parts.entry(M::part(&operation.call)).or_default().push(operation);
    }
    let mut undecided = Vec::new();
    for (part, operations) in &parts {
        match search::search::<M>(operations, budget.configurations).0 {
            search::Found::Order => {}
            search::Found::NoOrder => {
                let explanation = explanation::explain::<M>(part, operations, budget.explanation_configurations);
                return Verdict::NotLinearizable { explanation };
            }
            search::Found::BudgetSpent => undecided.push(part.to_string()),
        }
    }
    if undecided.is_empty() { Verdict::Linearizable } else { Verdict::Undecided { parts: undecided } }
}

#[cfg(test)]
mod tests;
