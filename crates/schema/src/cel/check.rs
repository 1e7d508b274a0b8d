//! Says of what type an expression is and what it costs at most, or why it means nothing.

mod pairs;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};

use super::dialect::Dialect;
use super::functions;
use super::operators;
use super::pairs as macros;
use super::parse::Expression;
use super::types::Type;

const CREATE_LIST: u64 = 10;
const CREATE_MAP: u64 = 30;

/// The type of an expression, and its price at most.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub of: Type<'a>,
    pub cost: u64,
}

/// Checks an expression in which the variables are known.
///
/// # Errors
/// As CEL shows it, with the place.
pub(crate) fn check<'a>(expression: &Expression, variables: &[(&str, Type<'a>)]) -> Result<Checked<'a>, String> {
    check_as(Dialect::Rules, expression, variables)
}

/// The same, with what else there is where the expression stands.
pub(crate) fn check_as<'a>(
    dialect: Dialect,
    expression: &Expression,
    variables: &[(&str, Type<'a>)],
) -> Result<Checked<'a>, String> {
    let variables = variables.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    Checking { dialect, expression, variables }.of(&expression.root)
}

struct Checking<'e, 'a> {
    dialect: Dialect,
    expression: &'e Expression,
    /// The inner ones last.
    variables: Vec<(String, Type<'a>)>,
}

type Outcome<'a> = Result<Checked<'a>, String>;

impl<'a> Checking<'_, 'a> {
    fn of(&mut self, expression: &IdedExpr) -> Outcome<'a> {
        let id = expression.id;
        match &expression.expr {
            Expr::Unspecified => Err(self.complaint(id, "an expression is missing")),
            Expr::Literal(literal) => Ok(Checked { of: literal_type(literal), cost: 0 }),
            Expr::Ident(name) => self.variable(name, id),
            Expr::Select(select) => self.select(select, id),
            Expr::Call(call) => self.call(call, id),
            Expr::List(list) => {
                let mut cost = CREATE_LIST;
                let mut of = Type::Any;
                for (index, element) in list.elements.iter().enumerate() {
                    let checked = self.of(element)?;
                    cost = cost.saturating_add(checked.cost);
                    let element = match checked.of {
                        Type::Optional(of) if list.optional_indices.contains(&index) => *of,
                        of => of,
                    };
                    of = of.join(&element).unwrap_or(Type::Dyn(of.size().max(element.size())));
                }
                Ok(Checked { of: Type::List(Box::new(of), list.elements.len() as u64), cost })
            }
            Expr::Map(map) => {
                let mut cost = CREATE_MAP;
                let (mut keys, mut values) = (Type::Any, Type::Any);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    if entry.optional {
                        return Err(self.complaint(id, "optional entries of maps are not supported"));
                    }
                    let (key, value) = (self.of(&entry.key)?, self.of(&entry.value)?);
                    if !may_be_key(&key.of) {
                        return Err(
                            self.complaint(entry.key.id, &format!("unsupported type of a map's key: {}", key.of))
                        );
                    }
                    cost = cost.saturating_add(key.cost).saturating_add(value.cost);
                    keys = keys.join(&key.of).unwrap_or(Type::Dyn(u64::MAX));
                    values = values.join(&value.of).unwrap_or(Type::Dyn(u64::MAX));
                }
                Ok(Checked { of: Type::Map(Box::new(keys), Box::new(values), map.entries.len() as u64), cost })
            }
            Expr::Struct(made) if self.dialect.makes(&made.type_name) => {
                let mut cost = CREATE_MAP;
                for entry in &made.entries {
                    if let EntryExpr::StructField(field) = &entry.expr {
                        cost = cost.saturating_add(self.of(&field.value)?.cost);
                    }
                }
                Ok(Checked { of: Type::Dyn(u64::MAX), cost })
            }
            Expr::Struct(made) => {
                Err(self.complaint(id, &format!("undeclared reference to '{}' (in container '')", made.type_name)))
            }
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    fn variable(&self, name: &str, id: u64) -> Outcome<'a> {
        if let Some((_, of)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(Checked { of: of.clone(), cost: 1 });
        }
        if operators::type_name(name).is_some() {
            return Ok(Checked { of: Type::OfTypes, cost: 1 });
        }
        Err(self.undeclared(name, id))
    }

    fn select(&mut self, select: &SelectExpr, id: u64) -> Outcome<'a> {
        if let Some(name) = operators::qualified_type(select) {
            return self.variable(name, id);
        }
        let operand = self.of(&select.operand)?;
        let Some(field) = operand.of.field(&select.field) else {
            let has_fields = matches!(operand.of, Type::Object { .. } | Type::Metadata);
            let optional = matches!(&operand.of, Type::Optional(of) if matches!(**of, Type::Object { .. }));
            let message = if has_fields || optional {
                format!("undefined field '{}'", select.field)
            } else {
                format!("type '{}' does not support field selection", operand.of)
            };
            return Err(self.complaint(id, &message));
        };
        Ok(Checked { of: if select.test { Type::Bool } else { field }, cost: operand.cost.saturating_add(1) })
    }

    fn call(&mut self, call: &CallExpr, id: u64) -> Outcome<'a> {
        match macros::read(call) {
            Some(Ok(pairs)) => return self.pairs(&pairs),
            Some(Err((at, message))) => return Err(self.complaint(at, message)),
            None => {}
        }
        if let Some(outcome) = self.more(call) {
            return outcome;
        }
        if let Some(name) = self.qualified(call) {
            return self.function(&name, None, &call.args, id);
        }
        if let (Some(target), [variable, result], "optMap" | "optFlatMap") =
            (call.target.as_deref(), call.args.as_slice(), call.func_name.as_str())
        {
            return self.opt_map(target, variable, result, call.func_name == "optFlatMap", id);
        }
        if call.target.is_none() && operators::is_operator(&call.func_name) {
            let mut arguments = Vec::new();
            let mut costs = Vec::new();
            for argument in &call.args {
                let checked = self.of(argument)?;
                arguments.push(checked.of);
                costs.push(checked.cost);
            }
            return match operators::check(&call.func_name, &arguments, &costs, &call.args) {
                Ok(checked) => Ok(checked),
                Err(operators::Refusal::NoOverload) => Err(self.no_overload(&call.func_name, None, &arguments, id)),
                Err(operators::Refusal::NoField(name)) => Err(self.complaint(id, &format!("undefined field '{name}'"))),
            };
        }
        self.function(&call.func_name, call.target.as_deref(), &call.args, id)
    }

    /// What only some dialects have: of what type it is shows when it runs.
    fn more(&mut self, call: &CallExpr) -> Option<Outcome<'a>> {
        let (outer, names, inner) = self.dialect.call(call)?;
        let bound = names.len();
        let mut cost = 1_u64;
        let mut checked = |this: &mut Self, part: &IdedExpr| {
            let part = this.of(part)?;
            cost = cost.saturating_add(part.cost);
            Ok(())
        };
        let mut all = |this: &mut Self, parts: &[&IdedExpr]| parts.iter().try_for_each(|part| checked(this, part));
        let mut outcome = all(self, &outer);
        if outcome.is_ok() {
            self.variables.extend(names.into_iter().map(|name| (name, Type::Dyn(u64::MAX))));
            outcome = all(self, &inner);
            self.variables.truncate(self.variables.len() - bound);
        }
        Some(outcome.map(|()| Checked { of: Type::Dyn(u64::MAX), cost }))
    }

    /// A function whose name has a dot, such as `optional.of`, stands in the tree as a call of `of` on `optional`.
    fn qualified(&self, call: &CallExpr) -> Option<String> {
        let Expr::Ident(namespace) = &call.target.as_deref()?.expr else { return None };
        let name = format!("{namespace}.{}", call.func_name);
        (functions::exists(&name) && !self.variables.iter().any(|(known, _)| known == namespace)).then_some(name)
    }

    fn function(&mut self, name: &str, target: Option<&IdedExpr>, arguments: &[IdedExpr], id: u64) -> Outcome<'a> {
        if !functions::exists(name) {
            return Err(self.undeclared(name, id));
        }
        let mut cost = 0_u64;
        let mut types = Vec::new();
        for argument in target.into_iter().chain(arguments) {
            let checked = self.of(argument)?;
            cost = cost.saturating_add(checked.cost);
            types.push(checked.of);
        }
        let Some((of, price)) = functions::find(name, target.is_some(), &types) else {
            return Err(self.no_overload(name, target, &types, id));
        };
        if let (functions::Price::Match, Some(error)) = (price, bad_pattern(arguments)) {
            return Err(self.complaint(id, &format!("invalid matches argument: {error}")));
        }
        Ok(Checked { of, cost: cost.saturating_add(price.of(&types)) })
    }

    fn opt_map(
        &mut self,
        target: &IdedExpr,
        variable: &IdedExpr,
        result: &IdedExpr,
        flat: bool,
        id: u64,
    ) -> Outcome<'a> {
        let Expr::Ident(name) = &variable.expr else {
            return Err(self.complaint(id, "optMap() variable name must be a simple identifier"));
        };
        let target = self.of(target)?;
        let of = match target.of {
            Type::Optional(of) => *of,
            open if open.is_open() => open,
            other => return Err(self.no_overload("optMap", None, &[other], id)),
        };
        self.variables.push((name.clone(), of));
        let checked = self.of(result);
        self.variables.pop();
        let checked = checked?;
        let of = if flat { checked.of.optional() } else { Type::Optional(Box::new(checked.of)) };
        Ok(Checked { of, cost: target.cost.saturating_add(checked.cost).saturating_add(3) })
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Outcome<'a> {
        let range = self.of(&loops.iter_range)?;
        let count = range.of.size();
        let each = match range.of {
            Type::List(of, _) => *of,
            Type::Map(key, ..) => *key,
            open if open.is_open() => Type::Dyn(count),
            other => return Err(self.no_range(&other, loops.iter_range.id)),
        };
        let start = self.of(&loops.accu_init)?;
        self.variables.push((loops.accu_var.clone(), start.of.clone()));
        self.variables.push((loops.iter_var.clone(), each));
        let inside = self.of(&loops.loop_cond).and_then(|condition| Ok((condition, self.of(&loops.loop_step)?)));
        self.variables.truncate(self.variables.len() - 2);
        let (condition, step) = inside?;
        // A list grows to as many elements as the range has.
        let accumulated = match step.of {
            Type::List(of, _) => Type::List(of, count),
            of => of,
        };
        self.variables.push((loops.accu_var.clone(), accumulated));
        let result = self.of(&loops.result);
        self.variables.pop();
        let result = result?;
        let each = step.cost.saturating_add(condition.cost);
        let parts = [range.cost, start.cost, count.saturating_mul(each), result.cost];
        Ok(Checked { of: result.of, cost: parts.into_iter().fold(0, u64::saturating_add) })
    }

    fn no_range(&self, of: &Type<'_>, id: u64) -> String {
        let message =
            format!("expression of type '{of}' cannot be range of a comprehension (must be list, map, or dynamic)");
        self.complaint(id, &message)
    }

    fn undeclared(&self, name: &str, id: u64) -> String {
        self.complaint(id, &format!("undeclared reference to '{name}' (in container '')"))
    }

    fn no_overload(&self, name: &str, target: Option<&IdedExpr>, types: &[Type<'_>], id: u64) -> String {
        let words = |types: &[Type<'_>]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let applied = match (target, types.split_first()) {
            (Some(_), Some((receiver, rest))) => format!("{receiver}.({})", words(rest)),
            _ => format!("({})", words(types)),
        };
        self.complaint(id, &format!("found no matching overload for '{name}' applied to '{applied}'"))
    }

    fn complaint(&self, id: u64, message: &str) -> String {
        self.expression.complaint(id, message)
    }
}

/// Only scalars that are compared exactly are keys. That bounds types too: were a key a map, a type could double with every
/// step of a chain.
fn may_be_key(of: &Type<'_>) -> bool {
    of.is_open() || matches!(of, Type::Bool | Type::Int | Type::Uint | Type::String(_))
}

/// What is wrong with a regular expression that is written in the rule.
fn bad_pattern(arguments: &[IdedExpr]) -> Option<String> {
    let pattern = arguments.iter().rev().find_map(|argument| match &argument.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    })?;
    crate::pattern::compile(pattern).err()
}

fn literal_type<'a>(literal: &LiteralValue) -> Type<'a> {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(bytes) => Type::Bytes(bytes.inner().len() as u64),
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(text) => Type::String(text.inner().chars().count() as u64),
        LiteralValue::UInt(_) => Type::Uint,
    }
}
