//! A correct store with concurrent clients, from a seed; and ways to falsify what it answered.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Op;
use crate::history::{Event, History, Outcome};
use crate::model::register::{Answer, Call, Versioned};

const PROCESSES: u64 = 6;
const KEYS: [&str; 2] = ["a", "b"];

/// What a client's operation is at.
struct InFlight {
    id: u64,
    call: Call,
    /// Its answer, once it took effect.
    answer: Option<Answer>,
}

#[derive(Default)]
struct Store {
    revision: i64,
    keys: HashMap<String, Versioned>,
}

impl Store {
    fn execute(&mut self, call: &Call) -> Answer {
        let found = self.keys.get(call.key()).cloned();
        match call {
            Call::Read { .. } => return Answer::Read { found, revision: self.revision },
            Call::CompareAndSet { expected_mod_revision, .. }
                if found.as_ref().map_or(0, |found| found.mod_revision) != *expected_mod_revision =>
            {
                return Answer::Different { found, revision: self.revision };
            }
            Call::Put { .. } | Call::CompareAndSet { .. } => {}
        }
        self.revision += 1;
        let value = call.value().unwrap_or_default().to_owned();
        self.keys.insert(call.key().to_owned(), Versioned { value, mod_revision: self.revision });
        Answer::Written { revision: self.revision }
    }
}

/// Begins, takes effect and ends at random, so intervals overlap and answers come out of order. Some operations lose their
/// answer, and some of these take effect long after.
pub(super) fn run(seed: u64) -> History<Call, Answer> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut store = Store { revision: 1, ..Store::default() };
    let mut running: HashMap<u64, InFlight> = HashMap::new();
    let mut late: Vec<Call> = Vec::new();
    let mut events = Vec::new();
    let operations = random.random_range(5..80);
    let mut next_id = 0;
    for now in 0_u64.. {
        if next_id >= operations && running.is_empty() {
            break;
        }
        if !late.is_empty() && random.random_ratio(1, 10) {
            let call = late.swap_remove(random.random_range(0..late.len()));
            store.execute(&call);
        }
        let process = random.random_range(0..PROCESSES);
        match running.get_mut(&process) {
            None if next_id < operations => {
                let call = call(&mut random, &store, next_id);
                events.push(Event::Invoke { id: next_id, process, at_nanos: now, call: call.clone() });
                running.insert(process, InFlight { id: next_id, call, answer: None });
                next_id += 1;
            }
            None => {}
            Some(operation) if operation.answer.is_none() && random.random_ratio(9, 10) => {
                operation.answer = Some(store.execute(&operation.call));
            }
            Some(_) => {
                let Some(operation) = running.remove(&process) else { continue };
                let lost = random.random_ratio(1, 8);
                let outcome = match operation.answer {
                    Some(answer) if !lost => Outcome::Ok(answer),
                    Some(_) => Outcome::Unknown { reason: "lost".to_owned() },
                    None if random.random_bool(0.5) => Outcome::Refused { reason: "no leader".to_owned() },
                    None => {
                        late.push(operation.call);
                        Outcome::Unknown { reason: "timeout".to_owned() }
                    }
                };
                events.push(Event::Complete { id: operation.id, at_nanos: now, outcome });
            }
        }
    }
    History::try_new(events).expect("the simulation records in order")
}

fn call(random: &mut StdRng, store: &Store, id: u64) -> Call {
    let key = (*KEYS.choose(random).expect("there are keys")).to_owned();
    match random.random_range(0..10) {
        0..4 => Call::Read { key },
        4..8 => Call::Put { key, value: format!("v{id}") },
        _ => {
            let expected = store.keys.get(&key).map_or(0, |held| held.mod_revision);
            let expected_mod_revision = if random.random_bool(0.8) { expected } else { expected.saturating_sub(1) };
            Call::CompareAndSet { key, expected_mod_revision, value: format!("v{id}") }
        }
    }
}

/// A lie that no correct store tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Falsehood {
    /// A read answers what was overwritten before it began.
    StaleRead,
    /// A read finds nothing although a write had ended before it began.
    LostWrite,
    /// A read finds what nobody wrote.
    Phantom,
    /// A read finds the right value at a revision that did not write it.
    WrittenTwice,
    /// Two writes, one after the other, have their revisions exchanged.
    Reordered,
    /// A read is older than an answer that came before it began.
    HeaderGoesBack,
}

pub(super) fn falsehoods() -> impl Strategy<Value = Falsehood> {
    prop::sample::select(vec![
        Falsehood::StaleRead,
        Falsehood::LostWrite,
        Falsehood::Phantom,
        Falsehood::WrittenTwice,
        Falsehood::Reordered,
        Falsehood::HeaderGoesBack,
    ])
}

impl Falsehood {
    /// Falsifies one answer; false when the history has no place for it.
    pub(super) fn falsify(self, operations: &mut [Op], seed: u64) -> bool {
        let mut places = Vec::new();
        for (i, one) in operations.iter().enumerate() {
            for (j, two) in operations.iter().enumerate() {
                if let Some(lie) = self.lie(operations, one, two) {
                    places.push((i, j, lie));
                }
            }
        }
        let mut random = StdRng::seed_from_u64(seed);
        let Some((i, j, (one, two))) = places.choose(&mut random).cloned() else { return false };
        for (place, answer) in [(i, one), (j, two)] {
            if let (Some(answer), Some(answered)) = (answer, &mut operations[place].answered) {
                answered.answer = answer;
            }
        }
        true
    }

    /// New answers for `one` and `two`, where `one` ended before `two` began on the same key.
    fn lie(self, all: &[Op], one: &Op, two: &Op) -> Option<(Option<Answer>, Option<Answer>)> {
        let (first, second) = (one.answered.as_ref()?, two.answered.as_ref()?);
        if first.at_nanos >= two.invoked_at_nanos || one.call.key() != two.call.key() {
            return None;
        }
        match (self, &first.answer, &second.answer) {
            (Self::LostWrite, Answer::Written { .. }, Answer::Read { revision, .. }) => {
                Some((None, Some(Answer::Read { found: None, revision: *revision })))
            }
            (Self::StaleRead, Answer::Written { revision: overwritten_at }, Answer::Read { revision, .. }) => {
                // What was written, answered, and then overwritten by `one`.
                let old = all.iter().find_map(|old| match old.answered.as_ref()?.answer {
                    Answer::Written { revision: at } if at < *overwritten_at && old.call.key() == one.call.key() => {
                        Some(Versioned { value: old.call.value()?.to_owned(), mod_revision: at })
                    }
                    _ => None,
                })?;
                Some((None, Some(Answer::Read { found: Some(old), revision: *revision })))
            }
            (Self::Phantom, _, Answer::Read { revision, .. }) => {
                let found = Some(Versioned { value: "phantom".to_owned(), mod_revision: *revision });
                Some((None, Some(Answer::Read { found, revision: *revision })))
            }
            (
                Self::WrittenTwice,
                Answer::Written { revision: written_at },
                Answer::Read { found: Some(found), revision },
            ) if found.mod_revision == *written_at && revision > written_at => {
                let found = Some(Versioned { mod_revision: written_at + 1, ..found.clone() });
                Some((None, Some(Answer::Read { found, revision: *revision })))
            }
            (Self::Reordered, Answer::Written { revision: one }, Answer::Written { revision: two }) => {
                Some((Some(Answer::Written { revision: *two }), Some(Answer::Written { revision: *one })))
            }
            (
                Self::HeaderGoesBack,
                Answer::Written { revision: before } | Answer::Read { revision: before, .. },
                Answer::Read { found, .. },
            ) => Some((None, Some(Answer::Read { found: found.clone(), revision: before - 1 }))),
            _ => None,
        }
    }
}
