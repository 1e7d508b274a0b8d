//! The types and prices of operators.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, SelectExpr, operators as o};

use super::check::Checked;
use super::functions::tenth;
use super::types::Type;

pub(crate) enum Refusal {
    NoOverload,
    NoField(String),
}

const NAMES: [&str; 20] = [
    o::CONDITIONAL,
    o::LOGICAL_AND,
    o::LOGICAL_OR,
    o::LOGICAL_NOT,
    o::SUBSTRACT,
    o::ADD,
    o::MULTIPLY,
    o::DIVIDE,
    o::MODULO,
    o::EQUALS,
    o::NOT_EQUALS,
    o::GREATER_EQUALS,
    o::LESS_EQUALS,
    o::GREATER,
    o::LESS,
    o::NEGATE,
    o::INDEX,
    o::OPT_INDEX,
    o::OPT_SELECT,
    o::NOT_STRICTLY_FALSE,
];

pub(crate) fn is_operator(name: &str) -> bool {
    NAMES.contains(&name) || name == o::IN
}

/// The word of a type that rules compare with `type(x)`.
pub(crate) fn type_name(name: &str) -> Option<&'static str> {
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "optional_type",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// The names of these two types have dots.
pub(crate) fn qualified_type(select: &SelectExpr) -> Option<&'static str> {
    let Expr::Select(package) = &select.operand.expr else { return None };
    let Expr::Ident(root) = &package.operand.expr else { return None };
    (!select.test && root == "google" && package.field == "protobuf")
        .then(|| type_name(&format!("google.protobuf.{}", select.field)))?
}

/// The type and price of an operator over arguments whose types and prices are given.
pub(crate) fn check<'a>(
    name: &str,
    types: &[Type<'a>],
    costs: &[u64],
    arguments: &[IdedExpr],
) -> Result<Checked<'a>, Refusal> {
    let all = costs.iter().copied().fold(0, u64::saturating_add);
    let answer = |of: Type<'a>, cost: u64| Ok(Checked { of, cost: all.saturating_add(cost) });
    match (name, types) {
        (o::LOGICAL_AND | o::LOGICAL_OR, [left, right]) if is_bool(left) && is_bool(right) => answer(Type::Bool, 0),
        (o::LOGICAL_NOT | o::NOT_STRICTLY_FALSE, [one]) if is_bool(one) => answer(Type::Bool, 1),
        (o::CONDITIONAL, [condition, yes, no]) if is_bool(condition) => {
            let of = yes.join(no).ok_or(Refusal::NoOverload)?;
            let branches = costs.get(1).max(costs.get(2)).copied().unwrap_or_default();
            Ok(Checked { of, cost: costs.first().copied().unwrap_or_default().saturating_add(branches) })
        }
        (o::EQUALS | o::NOT_EQUALS, [left, right]) if comparable(left, right) => {
            answer(Type::Bool, tenth(compared(left).min(compared(right))))
        }
        (o::LESS | o::LESS_EQUALS | o::GREATER | o::GREATER_EQUALS, [left, right]) if ordered(left, right) => {
            let texts = matches!(left, Type::String(_) | Type::Bytes(_));
            answer(Type::Bool, if texts { tenth(left.size().min(right.size())) } else { 1 })
        }
        (o::IN, [needle, Type::List(of, count)]) if needle.join(of).is_some() => answer(Type::Bool, *count),
        (o::IN, [needle, Type::Map(key, ..)]) if needle.join(key).is_some() => answer(Type::Bool, 1),
        (o::IN, [_, open]) if open.is_open() => answer(Type::Bool, open.size()),
        (o::NEGATE, [one @ (Type::Int | Type::Double)]) => answer(one.clone(), 1),
        (o::NEGATE, [one]) if one.is_open() => answer(one.clone(), 1),
        (o::INDEX, [container, key]) => answer(index(container, key)?, 1),
        (o::OPT_INDEX, [container, key]) => answer(index(unwrapped(container), key)?.optional(), 1),
        (o::OPT_SELECT, [container, _]) => {
            let name = literal(arguments.get(1)).unwrap_or_default();
            let Some(field) = container.field(name) else { return Err(Refusal::NoField(name.to_owned())) };
            answer(field.optional(), 1)
        }
        (o::ADD, [left, right]) => add(left, right).and_then(|(of, cost)| answer(of, cost)),
        (o::SUBSTRACT, [left, right]) => answer(subtract(left, right)?, 1),
        (o::MULTIPLY | o::DIVIDE, [left, right]) => answer(number(left, right, true)?, 1),
        (o::MODULO, [left, right]) => answer(number(left, right, false)?, 1),
        _ => Err(Refusal::NoOverload),
    }
}

/// How much there is to compare. Objects count as one by estimate, as in Kubernetes; the run counts what is in them.
fn compared(of: &Type<'_>) -> u64 {
    match of {
        Type::Object { .. } | Type::Metadata => 1,
        Type::Optional(of) => compared(of),
        of => of.size(),
    }
}

pub(crate) fn is_bool(of: &Type<'_>) -> bool {
    *of == Type::Bool || of.is_open()
}

fn unwrapped<'t, 'a>(of: &'t Type<'a>) -> &'t Type<'a> {
    match of {
        Type::Optional(of) => of,
        of => of,
    }
}

fn comparable(left: &Type<'_>, right: &Type<'_>) -> bool {
    let may_be_null =
        |of: &Type<'_>| matches!(of, Type::Timestamp | Type::Duration | Type::Object { .. } | Type::Optional(_));
    match (left, right) {
        (Type::Null, other) | (other, Type::Null) if may_be_null(other) => true,
        (left, right) => left.join(right).is_some(),
    }
}

/// Numbers of all types have one order.
fn ordered(left: &Type<'_>, right: &Type<'_>) -> bool {
    let is_number = |of: &Type<'_>| matches!(of, Type::Int | Type::Uint | Type::Double);
    let has_order =
        |of: &Type<'_>| matches!(of, Type::Bool | Type::String(_) | Type::Bytes(_) | Type::Timestamp | Type::Duration);
    match (left, right) {
        (left, right) if left.is_open() => right.is_open() || is_number(right) || has_order(right),
        (left, right) if right.is_open() => is_number(left) || has_order(left),
        (left, right) if is_number(left) => is_number(right),
        (left, right) => has_order(left) && left.join(right).is_some(),
    }
}

fn index<'a>(container: &Type<'a>, key: &Type<'a>) -> Result<Type<'a>, Refusal> {
    match container {
        Type::List(of, _) if key.is_open() || matches!(key, Type::Int | Type::Uint | Type::Double) => {
            Ok((**of).clone())
        }
        Type::Map(of_key, of, _) if of_key.join(key).is_some() => Ok((**of).clone()),
        Type::Optional(of) => index(of, key).map(Type::optional),
        open if open.is_open() => Ok(Type::Dyn(open.size())),
        _ => Err(Refusal::NoOverload),
    }
}

fn add<'a>(left: &Type<'a>, right: &Type<'a>) -> Result<(Type<'a>, u64), Refusal> {
    let size = left.size().saturating_add(right.size());
    Ok(match (left, right) {
        (Type::String(_), Type::String(_)) => (Type::String(size), tenth(size)),
        (Type::Bytes(_), Type::Bytes(_)) => (Type::Bytes(size), tenth(size)),
        (Type::List(one, _), Type::List(other, _)) => {
            let of = one.join(other).ok_or(Refusal::NoOverload)?;
            (Type::List(Box::new(of), size), 1)
        }
        (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => (Type::Timestamp, 1),
        (Type::Duration, Type::Duration) => (Type::Duration, 1),
        (left, right) if left.is_open() || right.is_open() => (Type::Dyn(size), tenth(size).max(1)),
        (left, right) => (number(left, right, true)?, 1),
    })
}

fn subtract<'a>(left: &Type<'a>, right: &Type<'a>) -> Result<Type<'a>, Refusal> {
    Ok(match (left, right) {
        (Type::Timestamp, Type::Timestamp) | (Type::Duration, Type::Duration) => Type::Duration,
        (Type::Timestamp, Type::Duration) => Type::Timestamp,
        (left, right) => number(left, right, true)?,
    })
}

fn number<'a>(left: &Type<'a>, right: &Type<'a>, with_double: bool) -> Result<Type<'a>, Refusal> {
    match (left, right) {
        (Type::Int, Type::Int) => Ok(Type::Int),
        (Type::Uint, Type::Uint) => Ok(Type::Uint),
        (Type::Double, Type::Double) if with_double => Ok(Type::Double),
        (left, right) if left.is_open() || right.is_open() => Ok(Type::Dyn(left.size().max(right.size()))),
        _ => Err(Refusal::NoOverload),
    }
}

/// The text of a literal.
pub(crate) fn literal(expression: Option<&IdedExpr>) -> Option<&str> {
    match &expression?.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
