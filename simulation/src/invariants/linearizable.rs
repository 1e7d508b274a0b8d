//! There is an order of all reads and writes, each at one moment between its begin and its end, that explains all answers.

use std::collections::BTreeMap;

use keelson_checkers::history::{Event, History, OperationId, Outcome};
use keelson_checkers::linearizability::{self, Budget, Verdict};
use keelson_checkers::model::register::{Answer, Call, Register};
use parking_lot::Mutex;

use super::Violations;
use crate::trace::Trace;

/// The history of the register keys.
pub struct Registers {
    state: Mutex<State>,
    violations: Violations,
    trace: Trace,
}

/// A register is left alone after so many writes of which nobody knows whether they took effect: each of them doubles the
/// orders that have to be looked at.
const UNKNOWN_MAX: usize = 8;

#[derive(Default)]
struct State {
    /// Such writes of each register, and of those that were in its place before.
    unknown: BTreeMap<usize, usize>,
    events: Vec<Event<Call, Answer>>,
    last_nanos: u64,
    next_id: OperationId,
}

impl State {
    /// Simulated time stands still while things happen, a history must not.
    fn now(&mut self, trace: &Trace) -> u64 {
        let now = u64::try_from(trace.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_nanos = now.max(self.last_nanos + 1);
        self.last_nanos
    }
}

impl Registers {
    pub(super) fn new(violations: Violations, trace: Trace) -> Self {
        Self { state: Mutex::default(), violations, trace }
    }

    /// The key of the register that is in a place now.
    pub fn key(&self, place: usize) -> String {
        let before = self.state.lock().unknown.get(&place).map_or(0, |unknown| unknown / UNKNOWN_MAX);
        if before == 0 { format!("register/{place}") } else { format!("register/{place}.{before}") }
    }

    /// Nobody knows whether a write there took effect.
    pub fn unknown(&self, place: usize) {
        *self.state.lock().unknown.entry(place).or_default() += 1;
    }

    /// A client begins an operation.
    pub fn invoke(&self, process: u64, call: Call) -> OperationId {
        let mut state = self.state.lock();
        let (id, at_nanos) = (state.next_id, state.now(&self.trace));
        state.next_id += 1;
        self.trace.line(format_args!("client {process} begins {id}: {call}"));
        state.events.push(Event::Invoke { id, process, at_nanos, call });
        id
    }

    /// It ends.
    pub fn complete(&self, id: OperationId, outcome: Outcome<Answer>) {
        let mut state = self.state.lock();
        self.trace.line(format_args!("{id} ends: {outcome:?}"));
        let at_nanos = state.now(&self.trace);
        state.events.push(Event::Complete { id, at_nanos, outcome });
    }

    /// How many operations were begun.
    pub fn count(&self) -> u64 {
        self.state.lock().next_id
    }

    /// Judges all that happened.
    pub fn check(&self) {
        let events = self.state.lock().events.clone();
        let history = match History::try_new(events) {
            Ok(history) => history,
            Err(error) => return self.violations.tell("linearizable", format!("no history: {error}")),
        };
        let verdict = linearizability::check::<Register>(&history.operations(), Budget::default());
        // What is undecided is not wrong, but must not go unseen.
        if verdict != Verdict::Linearizable {
            self.violations.tell("linearizable", verdict.to_string());
        }
    }
}
