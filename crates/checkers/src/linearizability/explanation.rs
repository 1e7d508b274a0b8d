//! Makes a history that has no order short enough to be read.
//!
//! Only such steps are taken that cannot break a history which has an order: what comes after a moment is cut off (what
//! runs at that moment loses its answer), reads are dropped, and writes are dropped that would explain nothing even if
//! their answer were unknown. What is left has no order, so the whole has none, either.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::OperationOf;
use super::search::{Found, search};
use crate::model::Model;

/// Prints a small set of operations of `part` that have no order. `operations` must have none.
pub(super) fn explain<M: Model>(part: &M::Part, operations: &[&OperationOf<M>], budget: u64) -> String {
    let mut shrinking = Shrinking::<M> { kept: operations.iter().map(|o| (*o).clone()).collect(), budget };
    shrinking.cut_the_end();
    shrinking.drop_by_chunks();
    print::<M>(part, operations.len(), &shrinking.kept)
}

struct Shrinking<M: Model> {
    /// Has no order.
    kept: Vec<OperationOf<M>>,
    /// Configurations that may still be visited.
    budget: u64,
}

impl<M: Model> Shrinking<M> {
    /// Takes `smaller` over if it has no order, either.
    fn try_take(&mut self, smaller: Vec<OperationOf<M>>) -> bool {
        if self.budget == 0 {
            return false;
        }
        let (found, visited) = search::<M>(&smaller.iter().collect::<Vec<_>>(), self.budget);
        self.budget = self.budget.saturating_sub(visited.max(1));
        let taken = found == Found::NoOrder;
        if taken {
            self.kept = smaller;
        }
        taken
    }

    /// The shortest beginning that has no order, found by halving: a longer one never gains an order.
    fn cut_the_end(&mut self) {
        let mut ends: Vec<u64> = self.kept.iter().filter_map(|o| Some(o.answered.as_ref()?.at_nanos)).collect();
        ends.sort_unstable();
        let (mut low, mut high) = (0, ends.len().saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let cut = self.up_to(ends[middle]);
            if self.try_take(cut) { high = middle } else { low = middle + 1 }
        }
    }

    fn up_to(&self, moment: u64) -> Vec<OperationOf<M>> {
        let began = self.kept.iter().filter(|o| o.invoked_at_nanos <= moment);
        began
            .map(|operation| {
                let mut operation = operation.clone();
                operation.answered.take_if(|answered| answered.at_nanos > moment);
                operation
            })
            .collect()
    }

    /// Drops half of the operations, then a quarter, down to single ones, wherever no order appears by that; and again
    /// as long as that makes it shorter, since a read that is gone may leave a write without use.
    fn drop_by_chunks(&mut self) {
        loop {
            let before = self.kept.len();
            let mut chunk = before.div_ceil(2);
            while chunk > 0 && self.budget > 0 {
                let mut from = 0;
                while from < self.kept.len() && self.budget > 0 {
                    let smaller = self.without(from..(from + chunk).min(self.kept.len()));
                    let shorter = smaller.len() < self.kept.len();
                    if !(shorter && self.try_take(smaller)) {
                        from += chunk;
                    }
                }
                chunk /= 2;
            }
            if self.kept.len() == before || self.budget == 0 {
                return;
            }
        }
    }

    /// What is kept, but for the operations in `range` that may be dropped: those that would help to explain none of the
    /// others if their outcome were unknown.
    fn without(&self, range: std::ops::Range<usize>) -> Vec<OperationOf<M>> {
        let mut dropped: HashSet<usize> = range.collect();
        loop {
            let split = self.kept.iter().enumerate().partition::<Vec<_>, _>(|(i, _)| dropped.contains(i));
            let (gone, left) = split;
            let answered: Vec<_> = left.into_iter().map(|(_, o)| o).filter(|o| o.answered.is_some()).collect();
            let helpful = M::helpful(gone.iter().map(|(_, operation)| *operation).collect(), &answered);
            if helpful.is_empty() {
                break;
            }
            let helpful: HashSet<u64> = helpful.iter().map(|operation| operation.id).collect();
            dropped.retain(|i| !helpful.contains(&self.kept[*i].id));
        }
        let left = self.kept.iter().enumerate().filter(|(i, _)| !dropped.contains(i));
        left.map(|(_, operation)| operation.clone()).collect()
    }
}

fn print<M: Model>(part: &M::Part, total: usize, kept: &[OperationOf<M>]) -> String {
    let mut text = format!("{part}: of {total} operations, these {} cannot be put in any order:\n", kept.len());
    for operation in kept {
        let began = millis(operation.invoked_at_nanos);
        let (ended, answer) = match &operation.answered {
            Some(answered) => (millis(answered.at_nanos), answered.answer.to_string()),
            None => ("-".to_owned(), "unknown".to_owned()),
        };
        let (id, process, call) = (operation.id, operation.process, operation.call.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  #{id:<6} client {process:<4} {began:>12} .. {ended:>12} ms  {call}  ->  {answer}");
    }
    text
}

fn millis(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
}
