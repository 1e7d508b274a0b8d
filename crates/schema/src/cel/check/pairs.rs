//! Of what type macros with two variables are, and what they cost.

use cel::common::ast::operators as o;

use super::{CREATE_LIST, CREATE_MAP, Checked, Checking, Outcome, may_be_key};
use crate::cel::operators;
use crate::cel::pairs::{Macro, Pairs};
use crate::cel::types::Type;

/// Of going on to the next pair: looking at what was found so far, and adding to it.
const NEXT: u64 = 3;

impl<'a> Checking<'_, 'a> {
    pub(super) fn pairs(&mut self, pairs: &Pairs<'_>) -> Outcome<'a> {
        let range = self.of(pairs.range)?;
        let count = range.of.size();
        let (first, second) = match range.of {
            Type::List(of, _) => (Type::Int, *of),
            Type::Map(key, of, _) => (*key, *of),
            open if open.is_open() => (Type::Dyn(count), Type::Dyn(count)),
            other => return Err(self.no_range(&other, pairs.range.id)),
        };
        let bound = self.variables.len();
        self.variables.extend(pairs.names.map(str::to_owned).into_iter().zip([first.clone(), second]));
        let inside = pairs.filter.map(|filter| self.truth(filter, o::CONDITIONAL)).transpose();
        let inside = inside.and_then(|filter| {
            let each = match pairs.what {
                Macro::All => self.truth(pairs.each, o::LOGICAL_AND),
                Macro::Exists => self.truth(pairs.each, o::LOGICAL_OR),
                Macro::ExistsOne => self.truth(pairs.each, o::CONDITIONAL),
                Macro::List | Macro::Map | Macro::Entries => self.of(pairs.each),
            };
            Ok((filter.map_or(0, |filter| filter.cost), each?))
        });
        self.variables.truncate(bound);
        let (filtering, each) = inside?;
        let mut step = each.cost.saturating_add(filtering).saturating_add(NEXT);
        let (of, start) = match pairs.what {
            Macro::All | Macro::Exists | Macro::ExistsOne => (Type::Bool, 1),
            Macro::List => {
                // Each is put into a list of its own, which is added.
                step = step.saturating_add(CREATE_LIST);
                (Type::List(Box::new(each.of), count), CREATE_LIST)
            }
            Macro::Map if may_be_key(&first) => (Type::Map(Box::new(first), Box::new(each.of), count), CREATE_MAP),
            Macro::Map => return Err(self.no_overload("transformMap", None, &[first, each.of], pairs.each.id)),
            Macro::Entries => match each.of {
                Type::Map(key, of, entries) => (Type::Map(key, of, count.saturating_mul(entries)), CREATE_MAP),
                open if open.is_open() => {
                    (Type::Map(Box::new(Type::Any), Box::new(Type::Dyn(u64::MAX)), u64::MAX), CREATE_MAP)
                }
                other => return Err(self.no_overload("transformMapEntry", None, &[other], pairs.each.id)),
            },
        };
        let all = [range.cost, start, count.saturating_mul(step)];
        Ok(Checked { of, cost: all.into_iter().fold(0, u64::saturating_add) })
    }

    /// What must be true or false, because the macro hands it to this operator.
    fn truth(&mut self, expression: &cel::IdedExpr, operator: &str) -> Outcome<'a> {
        let checked = self.of(expression)?;
        if operators::is_bool(&checked.of) {
            return Ok(checked);
        }
        Err(self.no_overload(operator, None, &[Type::Bool, checked.of], expression.id))
    }
}
