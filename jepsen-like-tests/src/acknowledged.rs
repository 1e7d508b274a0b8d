//! Is every acknowledged write in the final history, once, and no refused one?
//!
//! Linearizability of what clients saw does not show a write that was acknowledged and never read. This does, by comparing
//! the writes with the whole final history of revisions. Each write of the test must write a value of its own.

use std::collections::HashMap;
use std::fmt;

use crate::history::History;
use crate::model::register::{Answer, Call};
use crate::watches::Change;

/// A write whose fate is not what its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It was acknowledged and is not there.
    Lost {
        /// What was written.
        call: Call,
        /// The revision that its client was told.
        revision: i64,
    },
    /// It is there at another revision than its client was told.
    Moved {
        /// What was written.
        call: Call,
        /// The revision that its client was told.
        revision: i64,
        /// Where it is.
        change: Change,
    },
    /// It was applied more than once.
    Twice {
        /// What was written.
        call: Call,
        /// Where it is, each time.
        revisions: Vec<i64>,
    },
    /// It was refused and is there all the same.
    RefusedButThere {
        /// What the client was told.
        reason: String,
        /// Where it is.
        change: Change,
    },
    /// Nobody wrote it.
    Phantom(Change),
}

/// Compares a history's writes with all changes of its keys. `changes` must be complete and hold nothing else.
pub fn check(history: &History<Call, Answer>, changes: &[Change]) -> Vec<Violation> {
    let (operations, refused) = (history.operations(), history.refused());
    let mut there: HashMap<(&str, &str), Vec<&Change>> = HashMap::new();
    for change in changes {
        if let Some(value) = &change.value {
            there.entry((&change.key, value)).or_default().push(change);
        }
    }
    let mut violations = Vec::new();
    for operation in &operations {
        let Some(value) = operation.call.value() else { continue };
        let found = there.remove(&(operation.call.key(), value)).unwrap_or_default();
        let told = operation.answered.as_ref().map(|answered| answered.answer.clone());
        let call = operation.call.clone();
        match (told, found.as_slice()) {
            (_, [_, _, ..]) => {
                violations
                    .push(Violation::Twice { call, revisions: found.iter().map(|change| change.revision).collect() });
            }
            (Some(Answer::Written { revision }), []) => violations.push(Violation::Lost { call, revision }),
            (Some(Answer::Written { revision }), [change]) if change.revision != revision => {
                violations.push(Violation::Moved { call, revision, change: (*change).clone() });
            }
            (Some(Answer::Different { .. }), [change]) => violations.push(Violation::RefusedButThere {
                reason: "the compare failed".to_owned(),
                change: (*change).clone(),
            }),
            // A write cannot have been answered as a read; if it was, linearizability says so.
            (Some(Answer::Written { .. } | Answer::Different { .. } | Answer::Read { .. }) | None, [] | [_]) => {}
        }
    }
    for (call, reason) in &refused {
        let Some(value) = call.value() else { continue };
        for change in there.remove(&(call.key(), value)).unwrap_or_default() {
            violations.push(Violation::RefusedButThere { reason: reason.clone(), change: change.clone() });
        }
    }
    let mut phantoms: Vec<&Change> = there.into_values().flatten().collect();
    phantoms.sort_unstable();
    violations.extend(phantoms.into_iter().cloned().map(Violation::Phantom));
    violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { call, revision } => {
                write!(f, "lost: {call}, acknowledged at revision {revision}, is not there")
            }
            Self::Moved { call, revision, change } => {
                write!(f, "moved: {call}, acknowledged at revision {revision}, is at {}", change.revision)
            }
            Self::Twice { call, revisions } => write!(f, "applied more than once: {call}, at revisions {revisions:?}"),
            Self::RefusedButThere { reason, change } => write!(f, "refused ({reason}) and yet there: {change}"),
            Self::Phantom(change) => write!(f, "phantom: nobody wrote {change}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, Outcome};

    fn written(id: u64, outcome: Option<Outcome<Answer>>) -> Vec<Event<Call, Answer>> {
        let call = Call::Put { key: "k".to_owned(), value: format!("v{id}") };
        let invoke = Event::Invoke { id, process: id, at_nanos: id * 10, call };
        let complete = outcome.map(|outcome| Event::Complete { id, at_nanos: id * 10 + 5, outcome });
        std::iter::once(invoke).chain(complete).collect()
    }

    fn history() -> History<Call, Answer> {
        let events = [
            written(1, Some(Outcome::Ok(Answer::Written { revision: 2 }))),
            written(2, Some(Outcome::Refused { reason: "no leader".to_owned() })),
            written(3, Some(Outcome::Unknown { reason: "timeout".to_owned() })),
            written(4, None),
            written(5, Some(Outcome::Ok(Answer::Different { found: None, revision: 3 }))),
            written(6, Some(Outcome::Ok(Answer::Written { revision: 5 }))),
        ];
        History::try_new(events.concat()).expect("it is well formed")
    }

    fn change(revision: i64, id: u64) -> Change {
        Change { revision, key: "k".to_owned(), value: Some(format!("v{id}")) }
    }

    fn put(id: u64) -> Call {
        Call::Put { key: "k".to_owned(), value: format!("v{id}") }
    }

    #[test]
    fn acknowledged_writes_are_there_and_unknown_ones_may_be() {
        assert_eq!(check(&history(), &[change(2, 1), change(5, 6)]), []);
        assert_eq!(check(&history(), &[change(2, 1), change(3, 3), change(5, 6), change(9, 4)]), []);
    }

    #[test]
    fn each_wrong_fate_is_named() {
        assert_eq!(check(&history(), &[change(5, 6)]), [Violation::Lost { call: put(1), revision: 2 }]);
        assert_eq!(
            check(&history(), &[change(3, 1), change(5, 6)]),
            [Violation::Moved { call: put(1), revision: 2, change: change(3, 1) }]
        );
        assert_eq!(
            check(&history(), &[change(2, 1), change(3, 3), change(4, 3), change(5, 6)]),
            [Violation::Twice { call: put(3), revisions: vec![3, 4] }]
        );
        assert_eq!(
            check(&history(), &[change(2, 1), change(3, 2), change(4, 5), change(5, 6)]),
            [
                Violation::RefusedButThere { reason: "the compare failed".to_owned(), change: change(4, 5) },
                Violation::RefusedButThere { reason: "no leader".to_owned(), change: change(3, 2) },
            ]
        );
        assert_eq!(
            check(&history(), &[change(2, 1), change(5, 6), change(7, 99)]),
            [Violation::Phantom(change(7, 99))]
        );
    }
}
