//! How much there is to look at in values, all the way down. Lists share their elements, so that a rule makes a value of more
//! leaves than there is memory for in a few steps: counting stops at what may still be spent.

use super::functions::tenth;
use super::value::Value;
use crate::node::ListType;

/// The leaves of a value and the lists and maps around them, counted to about `most`.
fn weight(value: &Value<'_>, most: u64) -> u64 {
    let mut counted = 1;
    let mut add = |inner: Option<Value<'_>>, times: u64| {
        if let Some(inner) = inner {
            let left = most.saturating_sub(counted);
            counted = counted.saturating_add(weight(&inner, left).saturating_mul(times));
        }
        counted < most
    };
    match value {
        Value::Text(text) => return tenth(text.len() as u64).max(1),
        Value::Bytes(bytes) => return tenth(bytes.len() as u64).max(1),
        Value::List(elements) => {
            let _ = elements.iter().all(|element| add(Some(element.clone()), 1));
        }
        Value::Elements(elements, node) => {
            // What has any order is compared each with each.
            let times = if node.list == ListType::Atomic { 1 } else { elements.len() as u64 };
            let _ = (0..elements.len()).all(|index| add(value.element(index), times));
        }
        Value::Map(entries) => {
            let times = entries.len() as u64;
            let _ = entries.iter().all(|(key, value)| add(Some(key.clone()), times) && add(Some(value.clone()), 1));
        }
        Value::Fields(fields, node, _) => {
            let _ = fields.iter().all(|(name, json)| match node.entry(name) {
                Some(node) => add(Some(Value::of(json, node, node.embedded)), 1),
                None => add(Some(Value::Null), 1),
            });
        }
        Value::Metadata(fields) => counted = fields.len() as u64,
        Value::Optional(Some(inner)) => {
            add(Some((**inner).clone()), 1);
        }
        _ => {}
    }
    counted
}

fn is_list(value: &Value<'_>) -> bool {
    matches!(value, Value::List(_) | Value::Elements(..))
}

/// The lesser weight of two. Neither is counted much further than that: what is counted is paid for.
fn lesser(one: &Value<'_>, other: &Value<'_>, most: u64) -> u64 {
    let mut to = 16;
    loop {
        let lesser = weight(one, to).min(weight(other, to));
        if lesser < to || to > most {
            return lesser;
        }
        to = to.saturating_mul(4);
    }
}

/// Of comparing two values.
pub(super) fn of_comparison(one: &Value<'_>, other: &Value<'_>, left: u64) -> u64 {
    if is_list(one) && is_list(other) && one.size() != other.size() {
        return 1;
    }
    lesser(one, other, left)
}

/// Of comparing a value with each element of a list, or of finding a key.
pub(super) fn of_search(needle: &Value<'_>, container: &Value<'_>, left: u64) -> u64 {
    let size = container.size();
    if size == 0 {
        return 1;
    }
    if !is_list(container) {
        return if matches!(container, Value::Map(_)) { size } else { 1 };
    }
    let each_fully = size.saturating_mul(lesser(needle, container, left));
    size.max(weight(container, each_fully.min(left.saturating_add(1))).min(each_fully))
}

/// Of putting two texts or lists behind one another.
pub(super) fn of_sum(one: &Value<'_>, other: &Value<'_>, left: u64) -> u64 {
    let together = one.size().saturating_add(other.size());
    match one {
        Value::Elements(_, node) if node.list != ListType::Atomic => {
            // Each that is added is looked for.
            let both = weight(one, left).saturating_add(weight(other, left));
            both.saturating_mul(other.size()).saturating_add(together)
        }
        one if is_list(one) => together.max(1),
        _ => tenth(together).max(1),
    }
}

/// What functions that look into lists cost beside their price.
pub(super) fn of_call(name: &str, arguments: &[Value<'_>], left: u64) -> u64 {
    match (name, arguments) {
        ("indexOf" | "lastIndexOf", [list, needle]) if is_list(list) => of_search(needle, list, left),
        ("sets.contains" | "sets.equivalent" | "sets.intersects", [one, other]) => {
            let times = if name == "sets.equivalent" { 2 } else { 1 };
            weight(one, left).saturating_mul(other.size()).saturating_mul(times)
        }
        ("format", [_, list]) => weight(list, left.saturating_add(1)),
        ("join", [list, ..]) => list.size(),
        _ => 0,
    }
}
