//! Evaluates an expression, within a budget.

mod pairs;

use std::collections::HashMap;
use std::rc::Rc;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators as o,
};

use super::functions::{self, Price};
use super::library;
use super::operators;
use super::pairs as macros;
use super::parse::Expression;
use super::value::Value;
use super::weight;
use crate::pattern::{self, Pattern};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Such as "no such key: x". Counts only where the value is needed.
    Error(String),
    /// The evaluation cost too much, and was ended.
    Budget,
}

pub(crate) type Outcome<'a> = Result<Value<'a>, Fault>;

/// How many regular expressions are kept compiled, and what it costs to compile one more.
const PATTERNS_MAX: usize = 100;
const COMPILE_COST: u64 = 1000;

/// What an evaluation may still cost. With it go the regular expressions that were compiled: doing that anew for every
/// element of a list would cost far more than Kubernetes' price of a match.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    pub left: u64,
    patterns: HashMap<String, Rc<Pattern>>,
}

impl Budget {
    fn pattern(&mut self, text: &str) -> Result<Rc<Pattern>, Fault> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(Rc::clone(pattern));
        }
        // A rule has a handful of its own. One that makes others pays for them.
        if self.patterns.len() >= PATTERNS_MAX {
            self.spend(COMPILE_COST)?;
        }
        let pattern = Rc::new(pattern::compile(text).map_err(Fault::Error)?);
        if self.patterns.len() < PATTERNS_MAX {
            self.patterns.insert(text.to_owned(), Rc::clone(&pattern));
        }
        Ok(pattern)
    }

    fn spend(&mut self, cost: u64) -> Result<(), Fault> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::Budget)
            }
        }
    }
}

/// The variables by name, the inner ones last.
pub(crate) type Variables<'a> = Vec<(String, Outcome<'a>)>;

/// # Errors
/// When there is no value.
pub(crate) fn evaluate<'a>(expression: &Expression, variables: Variables<'a>, budget: &mut Budget) -> Outcome<'a> {
    Evaluating { variables, budget }.of(&expression.root)
}

struct Evaluating<'b, 'a> {
    variables: Variables<'a>,
    budget: &'b mut Budget,
}

fn error<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Error(message.into()))
}

impl<'a> Evaluating<'_, 'a> {
    fn of(&mut self, expression: &IdedExpr) -> Outcome<'a> {
        match &expression.expr {
            Expr::Unspecified | Expr::Struct(_) => error("no such overload"),
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                self.budget.spend(10)?;
                self.elements(list).map(Value::list)
            }
            Expr::Map(map) => {
                self.budget.spend(30)?;
                let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let key = self.of(&entry.key)?;
                    if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                        return error(format!("unsupported type of a map's key: {}", key.type_name()));
                    }
                    let value = self.of(&entry.value)?;
                    self.budget.spend(entries.len() as u64 / 10)?;
                    if entries.iter().any(|(known, _)| known.equals(&key)) {
                        return error("Failed with repeated key");
                    }
                    entries.push((key, value));
                }
                Ok(Value::Map(Rc::new(entries)))
            }
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    fn elements(&mut self, list: &ListExpr) -> Result<Vec<Value<'a>>, Fault> {
        let mut elements = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            match self.of(element)? {
                Value::Optional(inner) if list.optional_indices.contains(&index) => {
                    elements.extend(inner.map(|inner| (*inner).clone()));
                }
                value => elements.push(value),
            }
        }
        Ok(elements)
    }

    fn variable(&mut self, name: &str) -> Outcome<'a> {
        self.budget.spend(1)?;
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return value.clone();
        }
        operators::type_name(name).map(Value::Type).ok_or_else(|| Fault::Error(format!("no such attribute: {name}")))
    }

    fn select(&mut self, select: &SelectExpr) -> Outcome<'a> {
        if let Some(name) = operators::qualified_type(select) {
            return Ok(Value::Type(name));
        }
        let operand = self.of(&select.operand)?;
        self.budget.spend(1)?;
        if select.test {
            return match operand {
                Value::Optional(inner) => {
                    Ok(Value::Bool(inner.is_some_and(|inner| inner.field(&select.field).is_some())))
                }
                Value::Map(_) | Value::Fields(..) | Value::Metadata(_) => {
                    Ok(Value::Bool(operand.field(&select.field).is_some()))
                }
                _ => error("no such overload"),
            };
        }
        field(&operand, &select.field)
    }

    fn call(&mut self, call: &CallExpr) -> Outcome<'a> {
        if let (None, [one, rest @ ..]) = (&call.target, call.args.as_slice())
            && let Some(lazy) = self.lazy(&call.func_name, one, rest)
        {
            return lazy;
        }
        if let Some(Ok(pairs)) = macros::read(call) {
            return self.pairs(&pairs);
        }
        if let (Some(target), [variable, result], "optMap" | "optFlatMap") =
            (call.target.as_deref(), call.args.as_slice(), call.func_name.as_str())
        {
            return self.opt_map(target, variable, result, call.func_name == "optFlatMap");
        }
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(name)) if !self.variables.iter().any(|(known, _)| known == name) => Some(name),
            _ => None,
        };
        if let Some(namespace) = namespace {
            let name = format!("{namespace}.{}", call.func_name);
            return self.function(&name, None, &call.args);
        }
        if call.target.is_none() && operators::is_operator(&call.func_name) {
            let arguments = call.args.iter().map(|argument| self.of(argument)).collect::<Result<Vec<_>, _>>()?;
            self.budget.spend(library::operate::price(&call.func_name, &arguments, self.budget.left))?;
            return library::operate::call(&call.func_name, &arguments).map_err(Fault::Error);
        }
        self.function(&call.func_name, call.target.as_deref(), &call.args)
    }

    fn function(&mut self, name: &str, target: Option<&IdedExpr>, arguments: &[IdedExpr]) -> Outcome<'a> {
        let values =
            target.into_iter().chain(arguments).map(|argument| self.of(argument)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<_> = values.iter().map(Value::rough_type).collect();
        let Some((_, price)) = functions::find(name, target.is_some(), &types) else {
            return error("no such overload");
        };
        self.budget.spend(price.of(&types))?;
        self.budget.spend(weight::of_call(name, &values, self.budget.left))?;
        let made = library::texts::joined_bytes(name, &values).map_err(Fault::Error)?;
        self.budget.spend(functions::tenth(made.unwrap_or_default()))?;
        let value = match (price, values.get(1)) {
            (Price::Match, Some(Value::Text(pattern))) => {
                let pattern = self.budget.pattern(pattern)?;
                library::texts::with_pattern(name, &values, &pattern)
            }
            _ => library::call(name, target.is_some(), &values),
        };
        let value = value.map_err(Fault::Error)?;
        // What was made is paid for: it is read again by whoever gets it, and takes memory.
        if made.is_none() && matches!(value, Value::Text(_) | Value::Bytes(_) | Value::List(_)) {
            self.budget.spend(functions::tenth(value.size()))?;
        }
        Ok(value)
    }

    /// Operators that do not look at all their arguments.
    fn lazy(&mut self, name: &str, one: &IdedExpr, rest: &[IdedExpr]) -> Option<Outcome<'a>> {
        match (name, rest) {
            (o::LOGICAL_AND, [other]) => Some(self.logical(one, other, false)),
            (o::LOGICAL_OR, [other]) => Some(self.logical(one, other, true)),
            (o::CONDITIONAL, [yes, no]) => Some(match self.of(one) {
                Ok(Value::Bool(true)) => self.of(yes),
                Ok(Value::Bool(false)) => self.of(no),
                Ok(_) => error("no such overload"),
                Err(fault) => Err(fault),
            }),
            (o::NOT_STRICTLY_FALSE, []) => Some(match self.of(one) {
                Err(Fault::Budget) => Err(Fault::Budget),
                outcome => Ok(Value::Bool(!matches!(outcome, Ok(Value::Bool(false))))),
            }),
            _ => None,
        }
    }

    /// `decisive` on either side decides, even when the other side has no value.
    fn logical(&mut self, left: &IdedExpr, right: &IdedExpr, decisive: bool) -> Outcome<'a> {
        let left = self.of(left);
        match &left {
            Ok(Value::Bool(truth)) if *truth == decisive => return left,
            Err(Fault::Budget) => return left,
            _ => {}
        }
        let right = self.of(right);
        match (&left, &right) {
            (_, Ok(Value::Bool(truth))) if *truth == decisive => right,
            (_, Err(Fault::Budget)) => right,
            (Ok(Value::Bool(_)), Ok(Value::Bool(_))) => right,
            (Err(_), _) => left,
            (_, Err(_)) => right,
            _ => error("no such overload"),
        }
    }

    fn opt_map(&mut self, target: &IdedExpr, variable: &IdedExpr, result: &IdedExpr, flat: bool) -> Outcome<'a> {
        let (Value::Optional(inner), Expr::Ident(name)) = (self.of(target)?, &variable.expr) else {
            return error("no such overload");
        };
        let Some(inner) = inner else { return Ok(Value::Optional(None)) };
        self.variables.push((name.clone(), Ok((*inner).clone())));
        let value = self.of(result);
        self.variables.pop();
        match value? {
            value @ Value::Optional(_) if flat => Ok(value),
            _ if flat => error("no such overload"),
            value => Ok(Value::Optional(Some(Rc::new(value)))),
        }
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Outcome<'a> {
        let range = self.of(&loops.iter_range)?;
        let start = self.of(&loops.accu_init);
        let Some(range) = range.iterate() else { return error("no such overload") };
        self.variables.push((loops.accu_var.clone(), start));
        for element in range {
            // Even a loop that does nothing takes time.
            self.budget.spend(1)?;
            self.variables.push((loops.iter_var.clone(), Ok(element)));
            let goes_on = !matches!(self.of(&loops.loop_cond)?, Value::Bool(false));
            let step = if goes_on { Some(self.step(&loops.loop_step, &loops.accu_var)) } else { None };
            self.variables.pop();
            match step {
                None => break,
                Some(Err(Fault::Budget)) => return Err(Fault::Budget),
                Some(Ok(Step::Kept)) => {}
                Some(Ok(Step::New(value))) => self.accumulate(Ok(value)),
                Some(Err(fault)) => self.accumulate(Err(fault)),
            }
        }
        let result = self.of(&loops.result);
        self.variables.pop();
        result
    }

    fn accumulate(&mut self, outcome: Outcome<'a>) {
        if let Some((_, accumulated)) = self.variables.last_mut() {
            *accumulated = outcome;
        }
    }

    /// One step of a loop. A list that grows, as in `map` and `filter`, is not copied for every element.
    fn step(&mut self, step: &IdedExpr, accumulator: &str) -> Result<Step<'a>, Fault> {
        let is_accumulator =
            |expression: &IdedExpr| matches!(&expression.expr, Expr::Ident(name) if name == accumulator);
        if is_accumulator(step) {
            return Ok(Step::Kept);
        }
        if let Expr::Call(CallExpr { func_name, target: None, args }) = &step.expr {
            match (func_name.as_str(), args.as_slice()) {
                (o::CONDITIONAL, [condition, yes, no]) => {
                    return match self.of(condition)? {
                        Value::Bool(true) => self.step(yes, accumulator),
                        Value::Bool(false) => self.step(no, accumulator),
                        _ => error("no such overload"),
                    };
                }
                (o::ADD, [grows, IdedExpr { expr: Expr::List(list), .. }]) if is_accumulator(grows) => {
                    self.budget.spend(2)?;
                    let elements = self.elements(list)?;
                    // The variable of the loop stands on top of the accumulator.
                    let below = self.variables.len().checked_sub(2);
                    if let Some((_, Ok(Value::List(grown)))) = below.and_then(|index| self.variables.get_mut(index)) {
                        Rc::make_mut(grown).extend(elements);
                        return Ok(Step::Kept);
                    }
                    return error("no such overload");
                }
                _ => {}
            }
        }
        self.of(step).map(Step::New)
    }
}

enum Step<'a> {
    /// The accumulator is what it was, or was changed where it is.
    Kept,
    New(Value<'a>),
}

/// A field that must be there.
fn field<'a>(operand: &Value<'a>, name: &str) -> Outcome<'a> {
    match operand {
        Value::Optional(inner) => {
            let found = inner.as_ref().and_then(|inner| inner.field(name));
            Ok(Value::Optional(found.map(Rc::new)))
        }
        Value::Map(_) | Value::Fields(..) | Value::Metadata(_) => {
            operand.field(name).ok_or_else(|| Fault::Error(format!("no such key: {name}")))
        }
        _ => error("no such overload"),
    }
}

fn literal_value<'a>(literal: &LiteralValue) -> Value<'a> {
    match literal {
        LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(bytes.inner().into()),
        LiteralValue::Double(float) => Value::Double(*float.inner()),
        LiteralValue::Int(integer) => Value::Int(*integer.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::text(text.inner().to_owned()),
        LiteralValue::UInt(integer) => Value::Uint(*integer.inner()),
    }
}
