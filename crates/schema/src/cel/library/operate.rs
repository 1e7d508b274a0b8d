//! Operators whose arguments are all evaluated.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators as o;

use super::Answer;
use crate::cel::functions::tenth;
use crate::cel::value::Value;
use crate::cel::weight;

/// What an operator costs with these arguments, when so much is left.
pub(crate) fn price(name: &str, arguments: &[Value<'_>], left: u64) -> u64 {
    match (name, arguments) {
        (o::EQUALS | o::NOT_EQUALS, [one, other]) => weight::of_comparison(one, other, left),
        (o::LESS | o::LESS_EQUALS | o::GREATER | o::GREATER_EQUALS, [one, other]) => {
            tenth(one.size().min(other.size())).max(1)
        }
        (o::ADD, [one, other]) => weight::of_sum(one, other, left),
        (o::IN, [needle, list]) => weight::of_search(needle, list, left),
        // The entries of a map that a rule made are looked through.
        (o::INDEX | o::OPT_INDEX, [map @ Value::Map(_), _]) => tenth(map.size()).max(1),
        _ => 1,
    }
}

pub(crate) fn call<'a>(name: &str, arguments: &[Value<'a>]) -> Answer<'a> {
    match (name, arguments) {
        (o::LOGICAL_NOT, [Value::Bool(truth)]) => Ok(Value::Bool(!truth)),
        (o::NEGATE, [Value::Int(integer)]) => integer.checked_neg().map(Value::Int).ok_or_else(|| overflow("integer")),
        (o::NEGATE, [Value::Double(float)]) => Ok(Value::Double(-float)),
        (o::EQUALS, [left, right]) => Ok(Value::Bool(left.equals(right))),
        (o::NOT_EQUALS, [left, right]) => Ok(Value::Bool(!left.equals(right))),
        (o::LESS, [left, right]) => ordered(left, right, Ordering::is_lt),
        (o::LESS_EQUALS, [left, right]) => ordered(left, right, Ordering::is_le),
        (o::GREATER, [left, right]) => ordered(left, right, Ordering::is_gt),
        (o::GREATER_EQUALS, [left, right]) => ordered(left, right, Ordering::is_ge),
        (o::ADD, [left, right]) => add(left, right),
        (o::SUBSTRACT, [left, right]) => subtract(left, right),
        (o::MULTIPLY | o::DIVIDE | o::MODULO, [left, right]) => multiply(name, left, right),
        (o::IN, [needle, container]) => within(needle, container),
        (o::INDEX, [container, key]) => index(container, key),
        (o::OPT_INDEX, [container, key]) => match container {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => Ok(Value::Optional(index(inner, key).ok().map(Rc::new))),
            container => Ok(Value::Optional(index(container, key).ok().map(Rc::new))),
        },
        (o::OPT_SELECT, [container, Value::Text(name)]) => {
            let found = match container {
                Value::Optional(inner) => inner.as_ref().and_then(|inner| inner.field(name)),
                container => container.field(name),
            };
            Ok(Value::Optional(found.map(Rc::new)))
        }
        _ => no_overload(),
    }
}

fn no_overload<'a>() -> Answer<'a> {
    Err("no such overload".to_owned())
}

fn overflow(what: &str) -> String {
    format!("{what} overflow")
}

fn ordered<'a>(left: &Value<'a>, right: &Value<'a>, is: fn(Ordering) -> bool) -> Answer<'a> {
    match (left, right) {
        // What is no number is less than nothing and more than nothing.
        (Value::Double(_), _) | (_, Value::Double(_)) => match left.compare(right) {
            Some(order) => Ok(Value::Bool(is(order))),
            None if matches!((left, right), (Value::Double(_), Value::Double(_))) => Ok(Value::Bool(false)),
            None => no_overload(),
        },
        _ => left.compare(right).map_or_else(no_overload, |order| Ok(Value::Bool(is(order)))),
    }
}

pub(super) fn add<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            left.checked_add(*right).map(Value::Int).ok_or_else(|| overflow("integer"))
        }
        (Value::Uint(left), Value::Uint(right)) => {
            left.checked_add(*right).map(Value::Uint).ok_or_else(|| overflow("unsigned integer"))
        }
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        (Value::Text(left), Value::Text(right)) => Ok(Value::text(format!("{left}{right}"))),
        (Value::Bytes(left), Value::Bytes(right)) => Ok(Value::Bytes([&**left, &**right].concat().into())),
        (Value::Timestamp(moment), Value::Duration(length)) | (Value::Duration(length), Value::Timestamp(moment)) => {
            moment.checked_add(*length).map(Value::Timestamp).map_err(|_| overflow("timestamp"))
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(*right).map(Value::Duration).ok_or_else(|| overflow("duration"))
        }
        (left, right) => match (left.elements(), right.elements()) {
            (Some(mut elements), Some(others)) => {
                merge(left, &mut elements, others);
                Ok(Value::list(elements))
            }
            _ => no_overload(),
        },
    }
}

/// Lists are put behind one another, but to a set or a list with keys only what it does not have is added, and an element
/// with the same keys is replaced.
fn merge<'a>(list: &Value<'a>, elements: &mut Vec<Value<'a>>, others: Vec<Value<'a>>) {
    use crate::node::ListType;
    let Value::Elements(_, node) = list else { return elements.extend(others) };
    let same = |left: &Value<'a>, right: &Value<'a>| match node.list {
        ListType::Atomic => false,
        ListType::Set => left.equals(right),
        ListType::Map => node.keys.iter().all(|key| {
            let (left, right) = (left.field(key), right.field(key));
            left.as_ref()
                .zip(right.as_ref())
                .map_or(left.is_none() && right.is_none(), |(left, right)| left.equals(right))
        }),
    };
    for other in others {
        match elements.iter_mut().find(|element| same(element, &other)) {
            Some(element) => *element = other,
            None => elements.push(other),
        }
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            left.checked_sub(*right).map(Value::Int).ok_or_else(|| overflow("integer"))
        }
        (Value::Uint(left), Value::Uint(right)) => {
            left.checked_sub(*right).map(Value::Uint).ok_or_else(|| overflow("unsigned integer"))
        }
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(Value::Duration(left.duration_since(*right))),
        (Value::Timestamp(moment), Value::Duration(length)) => {
            moment.checked_sub(*length).map(Value::Timestamp).map_err(|_| overflow("timestamp"))
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_sub(*right).map(Value::Duration).ok_or_else(|| overflow("duration"))
        }
        _ => no_overload(),
    }
}

fn multiply<'a>(name: &str, left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) if name == o::DIVIDE => {
            Err("division by zero".to_owned())
        }
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) if name == o::MODULO => {
            Err("modulus by zero".to_owned())
        }
        (Value::Int(left), Value::Int(right)) => {
            let result = match name {
                o::MULTIPLY => left.checked_mul(*right),
                o::DIVIDE => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Int).ok_or_else(|| overflow("integer"))
        }
        (Value::Uint(left), Value::Uint(right)) => {
            let result = match name {
                o::MULTIPLY => left.checked_mul(*right),
                o::DIVIDE => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            result.map(Value::Uint).ok_or_else(|| overflow("unsigned integer"))
        }
        (Value::Double(left), Value::Double(right)) if name == o::MULTIPLY => Ok(Value::Double(left * right)),
        (Value::Double(left), Value::Double(right)) if name == o::DIVIDE => Ok(Value::Double(left / right)),
        _ => no_overload(),
    }
}

fn within<'a>(needle: &Value<'a>, container: &Value<'a>) -> Answer<'a> {
    if let Some(elements) = container.elements() {
        return Ok(Value::Bool(elements.iter().any(|element| element.equals(needle))));
    }
    match container {
        Value::Map(_) | Value::Fields(..) => Ok(Value::Bool(container.at(needle).is_some())),
        _ => no_overload(),
    }
}

fn index<'a>(container: &Value<'a>, key: &Value<'a>) -> Answer<'a> {
    match container {
        Value::List(_) | Value::Elements(..) => {
            let index = match key {
                Value::Int(index) => usize::try_from(*index).ok(),
                Value::Uint(index) => usize::try_from(*index).ok(),
                _ => return no_overload(),
            };
            index
                .and_then(|index| container.element(index))
                .ok_or_else(|| format!("index out of bounds: {}", shown(key)))
        }
        Value::Map(_) | Value::Fields(..) => container.at(key).ok_or_else(|| format!("no such key: {}", shown(key))),
        Value::Optional(inner) => match inner {
            Some(inner) => Ok(Value::Optional(index(inner, key).ok().map(Rc::new))),
            None => Ok(Value::Optional(None)),
        },
        _ => no_overload(),
    }
}

fn shown(key: &Value<'_>) -> String {
    super::scalars::text_of(key).and_then(Result::ok).unwrap_or_default()
}
