//! Changes of JSON values, and texts of them that no serializer writes.

use serde_json::{Map, Value, json};

use crate::bytes;
use crate::dice::Dice;

/// How often a value is wrapped or an element repeated at most: past the bounds on nesting, and past those on what is reported.
const REPEATS_MAX: usize = 150;
/// Values that a tree is changed to hold at most; what is repeated multiplies.
const VALUES_MAX: usize = 20_000;

/// One change somewhere in `value`. `other` is a value of the same kind, `words` are names of fields and texts.
pub(crate) fn mutate(value: &mut Value, other: &Value, words: &[String], dice: &mut Dice<'_>) {
    let values = count(value);
    let Some(place) = nth(value, dice.below(values)) else { return };
    match dice.below(8) {
        0 => *place = odd(dice),
        1 => remove(place, dice),
        2 => {
            let mut other = other.clone();
            let end = count(&other);
            *place = nth(&mut other, dice.below(end)).map_or(Value::Null, Value::take);
        }
        3 => wrap(place, dice),
        4 => rename(place, words, dice),
        5 if values <= VALUES_MAX / REPEATS_MAX => repeat(place, dice),
        6 => add(place, other, words, dice),
        _ => change_text(place, words, dice),
    }
}

/// Values within, with the one itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fn nth(value: &mut Value, mut index: usize) -> Option<&mut Value> {
    fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            Value::Array(list) => list.iter_mut().find_map(|child| find(child, left)),
            Value::Object(map) => map.values_mut().find_map(|child| find(child, left)),
            _ => None,
        }
    }
    find(value, &mut index)
}

/// A value that is seldom meant.
fn odd(dice: &mut Dice<'_>) -> Value {
    match dice.below(20) {
        0 => Value::Null,
        1 => true.into(),
        2 => 0.into(),
        3 => (-1).into(),
        4 => i64::MAX.into(),
        5 => i64::MIN.into(),
        6 => u64::MAX.into(),
        7 => i32::MAX.into(),
        8 => i32::MIN.into(),
        9 => 65_536.into(),
        10 => 0.5.into(),
        11 => 1e300.into(),
        12 => json!([]),
        13 => json!({}),
        14 => json!([null]),
        15 => json!({"": null}),
        16 => "".into(),
        17 => "a".repeat(300).into(),
        18 => "ä\u{0}\u{1f980}\n".into(),
        _ => "2026-02-03T04:05:06Z".into(),
    }
}

fn remove(place: &mut Value, dice: &mut Dice<'_>) {
    match place {
        Value::Array(list) if !list.is_empty() => {
            list.remove(dice.below(list.len()));
        }
        Value::Object(map) if !map.is_empty() => {
            let name = name_within(map, dice);
            map.remove(&name);
        }
        _ => *place = Value::Null,
    }
}

/// Deeper by a list or an object each time.
fn wrap(place: &mut Value, dice: &mut Dice<'_>) {
    let times = if dice.one_in(4) { dice.below(REPEATS_MAX) } else { 1 };
    let as_list = dice.one_in(2);
    for _ in 0..times {
        let inner = place.take();
        *place = if as_list { json!([inner]) } else { json!({"a": inner}) };
    }
}

fn rename(place: &mut Value, words: &[String], dice: &mut Dice<'_>) {
    let Value::Object(map) = place else { return change_text(place, words, dice) };
    if map.is_empty() || words.is_empty() {
        return;
    }
    let value = map.remove(&name_within(map, dice)).unwrap_or_default();
    map.insert(dice.pick(words).clone(), value);
}

/// More elements than there are bounds for; of an object, copies of a field.
fn repeat(place: &mut Value, dice: &mut Dice<'_>) {
    let times = if dice.one_in(3) { dice.below(REPEATS_MAX) } else { 1 };
    match place {
        Value::Array(list) if !list.is_empty() => {
            let element = dice.pick(list).clone();
            list.extend(std::iter::repeat_n(element, times));
        }
        Value::Object(map) if !map.is_empty() => {
            let name = name_within(map, dice);
            let field = map[&name].clone();
            map.extend((0..times).map(|index| (format!("{name}{index}"), field.clone())));
        }
        Value::String(text) if text.len() * times < bytes::BYTES_MAX => *text = text.repeat(times),
        _ => {}
    }
}

/// A field of `other`, or a new one.
fn add(place: &mut Value, other: &Value, words: &[String], dice: &mut Dice<'_>) {
    match (place, other) {
        (Value::Object(map), Value::Object(fields)) if !fields.is_empty() => {
            let name = name_within(fields, dice);
            map.insert(name.clone(), fields[&name].clone());
        }
        (Value::Object(map), _) if !words.is_empty() => {
            map.insert(dice.pick(words).clone(), odd(dice));
        }
        (Value::Array(list), _) => list.insert(dice.below(list.len() + 1), odd(dice)),
        (place, _) => *place = odd(dice),
    }
}

fn change_text(place: &mut Value, words: &[String], dice: &mut Dice<'_>) {
    match place {
        Value::String(text) if !words.is_empty() && dice.one_in(3) => text.clone_from(dice.pick(words)),
        Value::String(text) => {
            let mut changed = std::mem::take(text).into_bytes();
            bytes::mutate(&mut changed, b"", &[], dice);
            *text = String::from_utf8_lossy(&changed).into_owned();
        }
        place => *place = odd(dice),
    }
}

/// The name of a field of one that has some.
fn name_within(map: &Map<String, Value>, dice: &mut Dice<'_>) -> String {
    map.keys().nth(dice.below(map.len())).cloned().unwrap_or_default()
}

/// The text of a value, here and there with a key twice, more space, and escapes.
pub(crate) fn print(value: &Value, dice: &mut Dice<'_>) -> String {
    let mut text = String::new();
    write(value, dice, &mut text);
    text
}

fn write(value: &Value, dice: &mut Dice<'_>, text: &mut String) {
    match value {
        Value::Array(list) => {
            text.push('[');
            for (index, element) in list.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write(element, dice, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (index, (name, field)) in map.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                if text.len() < bytes::BYTES_MAX && dice.one_in(16) {
                    write_field(name, &odd(dice), dice, text);
                    text.push_str(" ,\n");
                }
                write_field(name, field, dice, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_field(name: &str, field: &Value, dice: &mut Dice<'_>, text: &mut String) {
    if dice.one_in(16) && name.is_ascii() {
        let escaped: String = name.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        text.push_str(&format!("\"{escaped}\""));
    } else {
        text.push_str(&Value::from(name).to_string());
    }
    text.push(':');
    write(field, dice, text);
}
