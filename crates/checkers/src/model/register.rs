//! etcd's keys as registers: put, read, and compare-and-set by mod revision, with the revisions that answers name.
//!
//! Revisions bind more than values do: a put must be answered with a revision above every one that was seen before, and a
//! read names the revision at which the value was written. So a write that was applied twice is seen even if both times
//! had the same value.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Model;
use crate::history::Operation;

/// What clients ask. Values should be unique in a history: only then are lost and doubled writes always seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// Reads a key.
    Read {
        /// The key.
        key: String,
    },
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// What to write.
        value: String,
    },
    /// Writes a key if it was last written at a revision, and reads it otherwise, in one transaction.
    CompareAndSet {
        /// The key.
        key: String,
        /// The mod revision it must have; 0 when it must not exist.
        expected_mod_revision: i64,
        /// What to write.
        value: String,
    },
}

/// What they are answered. `revision` is the header's: the store's revision when the operation took effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Of a read.
    Read {
        /// What the key held, when it existed.
        found: Option<Versioned>,
        /// The store's revision.
        revision: i64,
    },
    /// Of a put, or of a compare-and-set that wrote.
    Written {
        /// The revision that it made.
        revision: i64,
    },
    /// Of a compare-and-set that did not write.
    Different {
        /// What the key held, when it existed.
        found: Option<Versioned>,
        /// The store's revision.
        revision: i64,
    },
}

/// A value and when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versioned {
    /// The value.
    pub value: String,
    /// The revision that wrote it.
    pub mod_revision: i64,
}

/// What one key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    held: Option<Held>,
    /// The highest revision that any answer named up to here. Later answers name none below.
    revision: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    value: String,
    written: Written,
}

/// When a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Written {
    At(i64),
    /// By an operation whose answer nobody saw: after this revision.
    After(i64),
}

impl Written {
    fn can_be(self, revision: i64) -> bool {
        match self {
            Self::At(at) => at == revision,
            Self::After(after) => revision > after,
        }
    }
}

/// Registers by key.
#[derive(Clone, Copy, Debug)]
pub struct Register;

impl Model for Register {
    type State = State;
    type Call = Call;
    type Answer = Answer;
    type Part = String;

    fn part(call: &Call) -> String {
        call.key().to_owned()
    }

    fn initial() -> State {
        State { held: None, revision: 0 }
    }

    fn step(state: &State, call: &Call, answer: Option<&Answer>) -> Vec<State> {
        match (call, answer) {
            (Call::Read { .. }, Some(Answer::Read { found, revision })) => {
                state.see(found.as_ref(), *revision).into_iter().collect()
            }
            (Call::Read { .. }, None) => vec![state.clone()],
            (Call::Put { value, .. }, Some(Answer::Written { revision })) => {
                state.write(value, *revision).into_iter().collect()
            }
            (Call::Put { value, .. }, None) => vec![state.write_unseen(value)],
            (Call::CompareAndSet { expected_mod_revision, value, .. }, Some(Answer::Written { revision }))
                if state.written_can_be(*expected_mod_revision) =>
            {
                state.write(value, *revision).into_iter().collect()
            }
            (Call::CompareAndSet { expected_mod_revision, .. }, Some(Answer::Different { found, revision }))
                if found.as_ref().map_or(0, |found| found.mod_revision) != *expected_mod_revision =>
            {
                state.see(found.as_ref(), *revision).into_iter().collect()
            }
            // Where it would not write it changes nothing, which is also what leaving it out does.
            (Call::CompareAndSet { expected_mod_revision, value, .. }, None)
                if state.written_can_be(*expected_mod_revision) =>
            {
                let mut state = state.clone();
                state.revision = state.revision.max(*expected_mod_revision);
                vec![state.write_unseen(value)]
            }
            _ => vec![],
        }
    }

    /// An unseen write explains answers that name its value, and compare-and-sets from a revision that no answered write
    /// made. A compare-and-set that did not write says what it found, so no other write is needed to explain it.
    fn helpful<'a>(
        unknown: Vec<&'a Operation<Call, Answer>>,
        answered: &[&Operation<Call, Answer>],
    ) -> Vec<&'a Operation<Call, Answer>> {
        let mut values = HashSet::new();
        let mut made = HashSet::new();
        let mut compared = HashSet::new();
        for operation in answered {
            match operation.answered.as_ref().map(|answered| &answered.answer) {
                Some(Answer::Read { found, .. } | Answer::Different { found, .. }) => {
                    values.extend(found.as_ref().map(|found| found.value.as_str()));
                }
                Some(Answer::Written { revision }) => {
                    made.insert(*revision);
                    compared.extend(operation.call.expected_mod_revision());
                }
                None => {}
            }
        }
        compared.extend(unknown.iter().filter_map(|operation| operation.call.expected_mod_revision()));
        let compared_unseen = compared.iter().any(|revision| *revision != 0 && !made.contains(revision));
        unknown
            .into_iter()
            .filter(|operation| operation.call.value().is_some_and(|value| compared_unseen || values.contains(value)))
            .collect()
    }
}

impl Call {
    /// The key it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Read { key } | Self::Put { key, .. } | Self::CompareAndSet { key, .. } => key,
        }
    }

    /// What it compares with, if it does.
    fn expected_mod_revision(&self) -> Option<i64> {
        match self {
            Self::CompareAndSet { expected_mod_revision, .. } => Some(*expected_mod_revision),
            Self::Read { .. } | Self::Put { .. } => None,
        }
    }

    /// What it writes, if it writes.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Read { .. } => None,
            Self::Put { value, .. } | Self::CompareAndSet { value, .. } => Some(value),
        }
    }
}

impl State {
    /// After an answer that saw `found` when the store was at `revision`.
    fn see(&self, found: Option<&Versioned>, revision: i64) -> Option<Self> {
        let fits = match (&self.held, found) {
            (None, None) => true,
            (Some(held), Some(found)) => {
                held.value == found.value && held.written.can_be(found.mod_revision) && found.mod_revision <= revision
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        (fits && revision >= self.revision).then(|| Self {
            held: found.map(|found| Held { value: found.value.clone(), written: Written::At(found.mod_revision) }),
            revision,
        })
    }

    /// After a write that was answered with `revision`.
    fn write(&self, value: &str, revision: i64) -> Option<Self> {
        // An unseen write took a revision of its own, too.
        let floor = match self.held {
            Some(Held { written: Written::After(after), .. }) => self.revision.max(after + 1),
            _ => self.revision,
        };
        (revision > floor)
            .then(|| Self { held: Some(Held { value: value.to_owned(), written: Written::At(revision) }), revision })
    }

    fn write_unseen(&self, value: &str) -> Self {
        let after = match self.held {
            Some(Held { written: Written::After(after), .. }) => self.revision.max(after + 1),
            _ => self.revision,
        };
        Self { held: Some(Held { value: value.to_owned(), written: Written::After(after) }), revision: self.revision }
    }

    /// Whether the key can have this mod revision, 0 meaning that it does not exist.
    fn written_can_be(&self, mod_revision: i64) -> bool {
        match &self.held {
            None => mod_revision == 0,
            Some(held) => mod_revision != 0 && held.written.can_be(mod_revision),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { key } => write!(f, "read {key}"),
            Self::Put { key, value } => write!(f, "put {key} = {value:?}"),
            Self::CompareAndSet { key, expected_mod_revision, value } => {
                write!(f, "put {key} = {value:?} if written at {expected_mod_revision}")
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, revision) = match self {
            Self::Written { revision } => return write!(f, "written at {revision}"),
            Self::Read { found, revision } | Self::Different { found, revision } => (found, revision),
        };
        match found {
            None => write!(f, "nothing, the store being at {revision}"),
            Some(Versioned { value, mod_revision }) => {
                write!(f, "{value:?} written at {mod_revision}, the store being at {revision}")
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.held {
            None => write!(f, "nothing")?,
            Some(Held { value, written: Written::At(at) }) => write!(f, "{value:?} written at {at}")?,
            Some(Held { value, written: Written::After(after) }) => {
                write!(f, "{value:?} written after {after} without an answer")?;
            }
        }
        write!(f, ", the store being at {} or later", self.revision)
    }
}
