//! The search for an order of the operations of one part.

use std::collections::HashSet;

use super::OperationOf;
use crate::model::Model;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    NoOrder,
    BudgetSpent,
}

/// Looks for an order, visiting at most `budget` configurations. Also answers how many it visited.
pub(super) fn search<M: Model>(operations: &[&OperationOf<M>], budget: u64) -> (Found, u64) {
    let mut search = Search::<M>::new(operations);
    let found = search.run(budget);
    (found, search.visited.len() as u64)
}

struct Search<'a, M: Model> {
    /// With answers, in the order in which they began.
    answered: Vec<&'a OperationOf<M>>,
    /// Without answers, in the order in which they began; only those that can help.
    unknown: Vec<&'a OperationOf<M>>,
    /// Which of `answered` took effect.
    answered_done: Bits,
    /// Which of `unknown` took effect.
    unknown_done: Bits,
    /// All of `answered` before this one took effect.
    low: usize,
    visited: HashSet<(Box<[u64]>, M::State)>,
}

/// A configuration on the current path, and what is left to try from it.
struct Frame<S> {
    /// How the path came here; `None` at the root.
    came_by: Option<Step>,
    candidates: std::vec::IntoIter<(Step, S)>,
}

#[derive(Clone, Copy)]
enum Step {
    Answered(usize),
    Unknown(usize),
}

impl<'a, M: Model> Search<'a, M> {
    fn new(operations: &[&'a OperationOf<M>]) -> Self {
        let mut answered: Vec<_> = operations.iter().copied().filter(|o| o.answered.is_some()).collect();
        answered.sort_by_key(|operation| operation.invoked_at_nanos);
        let unknown = operations.iter().copied().filter(|o| o.answered.is_none()).collect();
        let mut unknown = M::helpful(unknown, &answered);
        unknown.sort_by_key(|operation| operation.invoked_at_nanos);
        Self {
            answered_done: Bits::new(answered.len()),
            unknown_done: Bits::new(unknown.len()),
            answered,
            unknown,
            low: 0,
            visited: HashSet::new(),
        }
    }

    fn run(&mut self, budget: u64) -> Found {
        if self.answered.is_empty() {
            return Found::Order;
        }
        let mut path = vec![Frame { came_by: None, candidates: self.candidates(&M::initial()).into_iter() }];
        while let Some(frame) = path.last_mut() {
            let Some((step, state)) = frame.candidates.next() else {
                if let Some(step) = frame.came_by {
                    self.undo(step);
                }
                path.pop();
                continue;
            };
            self.apply(step);
            if self.low == self.answered.len() {
                return Found::Order;
            }
            if self.visited.insert((self.key(), state.clone())) {
                if self.visited.len() as u64 > budget {
                    return Found::BudgetSpent;
                }
                path.push(Frame { came_by: Some(step), candidates: self.candidates(&state).into_iter() });
            } else {
                self.undo(step);
            }
        }
        Found::NoOrder
    }

    /// What can take effect next: whatever began before the first end among the operations that have not taken effect.
    /// Answered ones come first, since most unknown ones are not needed.
    fn candidates(&self, state: &M::State) -> Vec<(Step, M::State)> {
        let mut candidates = Vec::new();
        let mut first_end = u64::MAX;
        let mut open = Vec::new();
        for (i, operation) in self.answered.iter().enumerate().skip(self.low) {
            if operation.invoked_at_nanos > first_end {
                break;
            }
            if self.answered_done.has(i) {
                continue;
            }
            if let Some(answered) = &operation.answered {
                first_end = first_end.min(answered.at_nanos);
                open.push((i, operation, &answered.answer));
            }
        }
        for (i, operation, answer) in open {
            if operation.invoked_at_nanos <= first_end {
                let next = M::step(state, &operation.call, Some(answer));
                candidates.extend(next.into_iter().map(|state| (Step::Answered(i), state)));
            }
        }
        for (i, operation) in self.unknown.iter().enumerate() {
            if operation.invoked_at_nanos > first_end {
                break;
            }
            if !self.unknown_done.has(i) {
                let next = M::step(state, &operation.call, None);
                candidates.extend(next.into_iter().map(|state| (Step::Unknown(i), state)));
            }
        }
        candidates
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Answered(i) => {
                self.answered_done.set(i);
                while self.low < self.answered.len() && self.answered_done.has(self.low) {
                    self.low += 1;
                }
            }
            Step::Unknown(i) => self.unknown_done.set(i),
        }
    }

    fn undo(&mut self, step: Step) {
        match step {
            Step::Answered(i) => {
                self.answered_done.clear(i);
                self.low = self.low.min(i);
            }
            Step::Unknown(i) => self.unknown_done.clear(i),
        }
    }

    /// The set of operations that took effect, in few bytes: all before `low` did, and few behind it can have.
    fn key(&self) -> Box<[u64]> {
        let window = self.answered_done.words_from(self.low);
        let mut key = Vec::with_capacity(2 + window.len() + self.unknown_done.words.len());
        key.push(self.low as u64);
        key.push(window.len() as u64);
        key.extend_from_slice(window);
        key.extend_from_slice(&self.unknown_done.words);
        key.into_boxed_slice()
    }
}

/// A set of small numbers.
struct Bits {
    words: Vec<u64>,
    /// No word from here on has a bit set.
    end: usize,
}

impl Bits {
    fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)], end: 0 }
    }

    fn has(&self, i: usize) -> bool {
        self.words[i / 64] & (1 << (i % 64)) != 0
    }

    fn set(&mut self, i: usize) {
        self.words[i / 64] |= 1 << (i % 64);
        self.end = self.end.max(i / 64 + 1);
    }

    fn clear(&mut self, i: usize) {
        self.words[i / 64] &= !(1 << (i % 64));
        while self.end > 0 && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    /// The words from the one that holds `i` up to the last that is not zero.
    fn words_from(&self, i: usize) -> &[u64] {
        self.words.get(i / 64..self.end).unwrap_or(&[])
    }
}
