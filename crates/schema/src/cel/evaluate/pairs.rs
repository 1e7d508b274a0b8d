//! What macros with two variables give.

use std::rc::Rc;

use super::{Evaluating, Fault, Outcome, error};
use crate::cel::pairs::{Macro, Pairs};
use crate::cel::value::Value;

impl<'a> Evaluating<'_, 'a> {
    pub(super) fn pairs(&mut self, macro_call: &Pairs<'_>) -> Outcome<'a> {
        let Some(pairs) = self.of(macro_call.range)?.pairs() else { return error("no such overload") };
        let mut found = Found::new(macro_call.what);
        for (first, second) in pairs {
            // Even a loop that does nothing takes time.
            self.budget.spend(1)?;
            let bound = self.variables.len();
            let values = [first.clone(), second].map(Ok);
            self.variables.extend(macro_call.names.map(str::to_owned).into_iter().zip(values));
            let outcome = match macro_call.filter.map(|filter| self.of(filter)) {
                None | Some(Ok(Value::Bool(true))) => Some(self.of(macro_call.each)),
                Some(Ok(Value::Bool(false))) => None,
                Some(Ok(_)) => Some(error("no such overload")),
                Some(Err(fault)) => Some(Err(fault)),
            };
            self.variables.truncate(bound);
            if let Some(outcome) = outcome
                && self.take(&mut found, first, outcome)?
            {
                break;
            }
        }
        found.result()
    }

    /// Adds what one pair gives. Says whether nothing after it counts.
    fn take(&mut self, found: &mut Found<'a>, first: Value<'a>, outcome: Outcome<'a>) -> Result<bool, Fault> {
        match found {
            Found::Decided { by, so_far } => match truth(outcome) {
                Ok(truth) if truth == *by => {
                    *so_far = Ok(truth);
                    return Ok(true);
                }
                Err(Fault::Budget) => return Err(Fault::Budget),
                // Counts unless another pair decides.
                Err(fault) if so_far.is_ok() => *so_far = Err(fault),
                Ok(_) | Err(_) => {}
            },
            Found::Count(count) => *count += usize::from(truth(outcome)?),
            Found::List(elements) => {
                self.budget.spend(2)?;
                elements.push(outcome?);
            }
            // The keys of a map differ, and so do positions.
            Found::Map(entries) => {
                self.budget.spend(2)?;
                entries.push((first, outcome?));
            }
            Found::Entries(entries) => {
                let Some(more) = outcome?.pairs_of_map() else { return error("no such overload") };
                for (key, value) in more {
                    self.budget.spend(2 + entries.len() as u64 / 10)?;
                    if entries.iter().any(|(known, _)| known.equals(&key)) {
                        return error("insert failed: a key is there already");
                    }
                    entries.push((key, value));
                }
            }
        }
        Ok(false)
    }
}

fn truth(outcome: Outcome<'_>) -> Result<bool, Fault> {
    match outcome? {
        Value::Bool(truth) => Ok(truth),
        _ => error("no such overload"),
    }
}

/// What the pairs so far give.
enum Found<'a> {
    /// Whatever is `by` decides.
    Decided {
        by: bool,
        so_far: Result<bool, Fault>,
    },
    Count(usize),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Entries(Vec<(Value<'a>, Value<'a>)>),
}

impl<'a> Found<'a> {
    fn new(what: Macro) -> Self {
        match what {
            Macro::All => Found::Decided { by: false, so_far: Ok(true) },
            Macro::Exists => Found::Decided { by: true, so_far: Ok(false) },
            Macro::ExistsOne => Found::Count(0),
            Macro::List => Found::List(Vec::new()),
            Macro::Map => Found::Map(Vec::new()),
            Macro::Entries => Found::Entries(Vec::new()),
        }
    }

    fn result(self) -> Outcome<'a> {
        Ok(match self {
            Found::Decided { so_far, .. } => Value::Bool(so_far?),
            Found::Count(count) => Value::Bool(count == 1),
            Found::List(elements) => Value::list(elements),
            Found::Map(entries) | Found::Entries(entries) => Value::Map(Rc::new(entries)),
        })
    }
}
