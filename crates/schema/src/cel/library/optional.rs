//! Values that may be absent.

use std::rc::Rc;

use super::Answer;
use crate::cel::value::Value;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let some = |value: &Value<'a>| Value::Optional(Some(Rc::new(value.clone())));
    Some(match (name, arguments) {
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.of", [value]) => Ok(some(value)),
        ("optional.ofNonZeroValue", [value]) => Ok(if is_zero(value) { Value::Optional(None) } else { some(value) }),
        ("hasValue", [Value::Optional(inner)]) => Ok(Value::Bool(inner.is_some())),
        ("value", [Value::Optional(inner)]) => match inner {
            Some(inner) => Ok((**inner).clone()),
            None => Err("optional.none() dereference".to_owned()),
        },
        ("orValue", [Value::Optional(inner), other]) => {
            Ok(inner.as_ref().map_or_else(|| other.clone(), |inner| (**inner).clone()))
        }
        ("or", [first @ Value::Optional(inner), other]) => {
            Ok(if inner.is_some() { first.clone() } else { other.clone() })
        }
        _ => return None,
    })
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) => true,
        Value::Double(float) => *float == 0.0,
        Value::Duration(duration) => duration.is_zero(),
        Value::Text(_) | Value::Bytes(_) | Value::List(_) | Value::Elements(..) | Value::Map(_) | Value::Fields(..) => {
            value.size() == 0
        }
        _ => false,
    }
}
