//! Lists and sets.

use std::cmp::Ordering;

use super::Answer;
use super::operate;
use crate::cel::value::Value;

const NAMES: [&str; 9] =
    ["isSorted", "sum", "min", "max", "indexOf", "lastIndexOf", "sets.contains", "sets.equivalent", "sets.intersects"];

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let [list, rest @ ..] = arguments else { return None };
    // Functions of others pass by here with lists: what is not ours is not copied.
    if !NAMES.contains(&name) {
        return None;
    }
    let elements = list.elements()?;
    let holds = |elements: &[Value<'a>], others: &[Value<'a>]| {
        others.iter().all(|other| elements.iter().any(|element| element.equals(other)))
    };
    let other = rest.first().and_then(Value::elements);
    Some(match (name, rest) {
        ("isSorted", []) => {
            let sorted = |pair: &[Value<'a>]| match pair {
                [left, right] => left.compare(right).map(Ordering::is_le).ok_or_else(|| "no such overload".to_owned()),
                _ => Ok(true),
            };
            elements
                .windows(2)
                .map(sorted)
                .collect::<Result<Vec<bool>, _>>()
                .map(|all| Value::Bool(!all.contains(&false)))
        }
        ("sum", []) => sum(&elements),
        ("min", []) => extreme(&elements, Ordering::Less, "min"),
        ("max", []) => extreme(&elements, Ordering::Greater, "max"),
        ("indexOf", [needle]) => Ok(index(elements.iter().position(|element| element.equals(needle)))),
        ("lastIndexOf", [needle]) => Ok(index(elements.iter().rposition(|element| element.equals(needle)))),
        ("sets.contains", [_]) => Ok(Value::Bool(holds(&elements, &other?))),
        ("sets.equivalent", [_]) => {
            let other = other?;
            Ok(Value::Bool(holds(&elements, &other) && holds(&other, &elements)))
        }
        ("sets.intersects", [_]) => {
            let other = other?;
            Ok(Value::Bool(elements.iter().any(|element| other.iter().any(|other| other.equals(element)))))
        }
        _ => return None,
    })
}

fn sum<'a>(elements: &[Value<'a>]) -> Answer<'a> {
    let mut elements = elements.iter();
    let Some(first) = elements.next() else { return Ok(Value::Int(0)) };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return Err("no such overload".to_owned());
    }
    elements.try_fold(first.clone(), |sum, element| operate::add(&sum, element))
}

fn extreme<'a>(elements: &[Value<'a>], wanted: Ordering, name: &str) -> Answer<'a> {
    let mut elements = elements.iter();
    let mut best = elements.next().ok_or_else(|| format!("{name} called on empty list"))?;
    for element in elements {
        let order = element.compare(best).ok_or_else(|| "no such overload".to_owned())?;
        if order == wanted {
            best = element;
        }
    }
    Ok(best.clone())
}

fn index<'a>(position: Option<usize>) -> Value<'a> {
    Value::Int(position.and_then(|position| i64::try_from(position).ok()).unwrap_or(-1))
}
