//! What clients asked and what they were answered, with times: the record that the checkers judge.
//!
//! A history is a list of events in the order of their times. On disk it is one JSON object a line, so that a test that is
//! killed leaves what it saw. An operation ends **ok**, **refused** (it surely did not take effect) or **unknown** (it may
//! take effect at any later time, or never); one without an end is unknown.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Names an operation in its history.
pub type OperationId = u64;

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<Call, Answer> {
    /// A client began an operation.
    Invoke {
        /// The operation, unique in the history.
        id: OperationId,
        /// The client. One client has one operation in flight at a time; after an unknown end it may go on.
        process: u64,
        /// Monotonic time since the start of the test.
        at_nanos: u64,
        /// What it asked.
        call: Call,
    },
    /// An operation ended.
    Complete {
        /// The operation.
        id: OperationId,
        /// Monotonic time since the start of the test.
        at_nanos: u64,
        /// How.
        outcome: Outcome<Answer>,
    },
    /// Something that was done to the system, for the reader only.
    Fault {
        /// Monotonic time since the start of the test.
        at_nanos: u64,
        /// In words.
        what: String,
    },
}

/// How an operation ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<Answer> {
    /// It took effect, with this answer.
    Ok(Answer),
    /// It surely did not and will not take effect.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// Nobody can say.
    Unknown {
        /// Why, in words.
        reason: String,
    },
}

/// One operation with both its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<Call, Answer> {
    /// Its id in the history.
    pub id: OperationId,
    /// The client.
    pub process: u64,
    /// What it asked.
    pub call: Call,
    /// When it began.
    pub invoked_at_nanos: u64,
    /// When it ended and with which answer; `None` when its outcome is unknown.
    pub answered: Option<Answered<Answer>>,
}

/// The end of an operation that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<Answer> {
    /// When the client had the answer.
    pub at_nanos: u64,
    /// The answer.
    pub answer: Answer,
}

/// What happened in a test, in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<Call, Answer> {
    events: Vec<Event<Call, Answer>>,
}

/// Why lines are not a history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot read or write the history")]
    Io(#[from] std::io::Error),
    /// A line is not an event.
    #[error("line {line} of the history is not an event")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Events are not in order of time.
    #[error("the history goes back in time at operation {id}")]
    Time {
        /// The operation whose event is too early.
        id: OperationId,
    },
    /// An id was invoked twice, or ended without having begun, or ended twice.
    #[error("operation {id} begins or ends more than once, or ends without a begin")]
    Pairing {
        /// The operation.
        id: OperationId,
    },
    /// A client began an operation while another of its own was running.
    #[error("process {process} begins operation {id} while another one is running")]
    Overlap {
        /// The client.
        process: u64,
        /// The second operation.
        id: OperationId,
    },
}

impl<Call: Clone, Answer: Clone> History<Call, Answer> {
    /// Takes events in the order in which they were recorded.
    ///
    /// # Errors
    /// [`Error::Time`], [`Error::Pairing`] and [`Error::Overlap`]: a checker must not judge a record that is itself broken.
    pub fn try_new(events: Vec<Event<Call, Answer>>) -> Result<Self, Error> {
        let mut now = 0;
        let mut process_of = HashMap::new();
        let mut running: HashMap<u64, OperationId> = HashMap::new();
        for event in &events {
            match event {
                Event::Invoke { id, process, at_nanos, .. } => {
                    now = later(now, *at_nanos).ok_or(Error::Time { id: *id })?;
                    if process_of.insert(*id, Some(*process)).is_some() {
                        return Err(Error::Pairing { id: *id });
                    }
                    if running.insert(*process, *id).is_some() {
                        return Err(Error::Overlap { process: *process, id: *id });
                    }
                }
                Event::Complete { id, at_nanos, .. } => {
                    now = later(now, *at_nanos).ok_or(Error::Time { id: *id })?;
                    let process = process_of.get_mut(id).and_then(Option::take).ok_or(Error::Pairing { id: *id })?;
                    running.remove(&process);
                }
                Event::Fault { .. } => {}
            }
        }
        Ok(Self { events })
    }

    /// The events.
    pub fn events(&self) -> &[Event<Call, Answer>] {
        &self.events
    }

    /// The operations that took effect or may have, in the order in which they began. Refused ones are left out.
    pub fn operations(&self) -> Vec<Operation<Call, Answer>> {
        let mut ends: HashMap<OperationId, (u64, &Outcome<Answer>)> = HashMap::new();
        for event in &self.events {
            if let Event::Complete { id, at_nanos, outcome } = event {
                ends.insert(*id, (*at_nanos, outcome));
            }
        }
        self.events
            .iter()
            .filter_map(|event| {
                let Event::Invoke { id, process, at_nanos, call } = event else { return None };
                let answered = match ends.get(id) {
                    Some((_, Outcome::Refused { .. })) => return None,
                    Some((at_nanos, Outcome::Ok(answer))) => {
                        Some(Answered { at_nanos: *at_nanos, answer: answer.clone() })
                    }
                    Some((_, Outcome::Unknown { .. })) | None => None,
                };
                Some(Operation {
                    id: *id,
                    process: *process,
                    call: call.clone(),
                    invoked_at_nanos: *at_nanos,
                    answered,
                })
            })
            .collect()
    }

    /// The operations that were refused, as (call, reason).
    pub fn refused(&self) -> Vec<(Call, String)> {
        let reasons: HashMap<OperationId, &String> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Complete { id, outcome: Outcome::Refused { reason }, .. } => Some((*id, reason)),
                _ => None,
            })
            .collect();
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Invoke { id, call, .. } => reasons.get(id).map(|reason| (call.clone(), (*reason).clone())),
                _ => None,
            })
            .collect()
    }
}

fn later(before: u64, now: u64) -> Option<u64> {
    (now >= before).then_some(now)
}

/// Writes events as they happen, one a line.
pub struct Recorder<W> {
    writer: W,
}

impl<W: Write> Recorder<W> {
    /// Records to `writer`; hand in a buffered one.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Appends one event.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn record<Call: Serialize, Answer: Serialize>(&mut self, event: &Event<Call, Answer>) -> Result<(), Error> {
        serde_json::to_writer(&mut self.writer, event).map_err(std::io::Error::from)?;
        self.writer.write_all(b"\n")?;
        Ok(())
    }

    /// The writer, everything recorded being in it.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be flushed.
    pub fn finish(mut self) -> Result<W, Error> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

/// Reads what a [`Recorder`] wrote. A last line that was cut off, as a killed test leaves it, is passed over.
///
/// # Errors
/// All of [`Error`].
pub fn read<Call, Answer>(reader: impl BufRead) -> Result<History<Call, Answer>, Error>
where
    Call: DeserializeOwned + Clone,
    Answer: DeserializeOwned + Clone,
{
    let mut events = Vec::new();
    let mut broken: Option<Error> = None;
    for (i, line) in reader.lines().enumerate() {
        // Only the last line may be broken.
        if let Some(error) = broken.take() {
            return Err(error);
        }
        match serde_json::from_str(&line?) {
            Ok(event) => events.push(event),
            Err(source) if source.is_eof() => broken = Some(Error::Line { line: i + 1, source }),
            Err(source) => return Err(Error::Line { line: i + 1, source }),
        }
    }
    History::try_new(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    type E = Event<String, i64>;

    fn invoke(id: u64, process: u64, at_nanos: u64) -> E {
        Event::Invoke { id, process, at_nanos, call: format!("call {id}") }
    }

    fn complete(id: u64, at_nanos: u64, outcome: Outcome<i64>) -> E {
        Event::Complete { id, at_nanos, outcome }
    }

    fn lost() -> Outcome<i64> {
        Outcome::Unknown { reason: "timeout".to_owned() }
    }

    #[test]
    fn a_history_survives_its_file_even_when_the_last_line_is_cut() {
        let events = vec![
            invoke(1, 1, 10),
            Event::Fault { at_nanos: 11, what: "kill m1".to_owned() },
            invoke(2, 2, 12),
            complete(1, 20, Outcome::Ok(7)),
            complete(2, 21, lost()),
        ];
        let mut recorder = Recorder::new(Vec::new());
        for event in &events {
            recorder.record(event).expect("a vector takes everything");
        }
        let mut bytes = recorder.finish().expect("a vector takes everything");
        assert_eq!(read::<String, i64>(&bytes[..]).expect("it was just written").events(), events);
        bytes.extend_from_slice(b"{\"event\":\"inv");
        assert_eq!(read::<String, i64>(&bytes[..]).expect("a cut last line is passed over").events(), events);
        bytes.extend_from_slice(b"\n{}\n");
        assert!(matches!(read::<String, i64>(&bytes[..]), Err(Error::Line { line: 6, .. })));
    }

    #[test]
    fn operations_are_paired_and_refused_ones_are_apart() {
        let history = History::try_new(vec![
            invoke(1, 1, 10),
            invoke(2, 2, 11),
            invoke(3, 3, 12),
            invoke(4, 4, 13),
            complete(3, 14, Outcome::Refused { reason: "no leader".to_owned() }),
            complete(2, 15, lost()),
            complete(1, 20, Outcome::Ok(7)),
        ])
        .expect("it is well formed");
        let operations = history.operations();
        assert_eq!(operations.iter().map(|operation| operation.id).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(operations[0].answered, Some(Answered { at_nanos: 20, answer: 7 }));
        assert_eq!((&operations[1].answered, &operations[2].answered), (&None, &None));
        assert_eq!(history.refused(), [("call 3".to_owned(), "no leader".to_owned())]);
    }

    #[test]
    fn a_broken_record_is_refused() {
        let broken = |events| History::try_new(events).expect_err("it is broken");
        assert!(matches!(broken(vec![invoke(1, 1, 10), invoke(2, 2, 9)]), Error::Time { id: 2 }));
        assert!(matches!(broken(vec![invoke(1, 1, 10), invoke(1, 2, 11)]), Error::Pairing { id: 1 }));
        assert!(matches!(broken(vec![complete(1, 10, lost())]), Error::Pairing { id: 1 }));
        let twice = vec![invoke(1, 1, 10), complete(1, 11, lost()), complete(1, 12, lost())];
        assert!(matches!(broken(twice), Error::Pairing { id: 1 }));
        assert!(matches!(broken(vec![invoke(1, 1, 10), invoke(2, 1, 11)]), Error::Overlap { process: 1, id: 2 }));
    }
}
