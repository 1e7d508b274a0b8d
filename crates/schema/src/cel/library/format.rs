//! `'%s has %d'.format([self.name, self.count])`.

use super::Answer;
use super::scalars::text_of;
use super::texts::{MAX_MADE_BYTES, TOO_LONG};
use crate::cel::value::Value;

/// The most digits behind the point.
const MAX_PRECISION: usize = 1000;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let ("format", [Value::Text(text), list]) = (name, arguments) else { return None };
    let values = list.elements()?;
    Some(fill(text, &values).map(Value::text))
}

fn fill(text: &str, values: &[Value<'_>]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter().enumerate();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if characters.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            let parsed = digits.parse::<usize>().ok().filter(|precision| *precision <= MAX_PRECISION);
            precision = Some(parsed.ok_or("could not parse formatting clause: wrong precision")?);
        }
        let verb = characters.next().ok_or("unexpected end of string")?;
        let index = values.len();
        let (_, value) = values.next().ok_or_else(|| format!("index {index} out of range"))?;
        let shown = one(verb, precision, value)?;
        if out.len().saturating_add(shown.len()) > MAX_MADE_BYTES {
            return Err(TOO_LONG.to_owned());
        }
        out.push_str(&shown);
    }
    if values.next().is_some() {
        return Err("too many arguments supplied to string.format".to_owned());
    }
    Ok(out)
}

fn one(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, String> {
    let precision = precision.unwrap_or(6);
    let wrong =
        || format!("could not parse formatting clause: %{verb} cannot show a value of type {}", value.type_name());
    Ok(match (verb, value) {
        ('s', value) => shown(value).ok_or_else(wrong)?,
        ('d', Value::Int(number)) => number.to_string(),
        ('d', Value::Uint(number)) => number.to_string(),
        ('f', value) => format!("{:.precision$}", float(value).ok_or_else(wrong)?),
        ('e', value) => format!("{:.precision$e}", float(value).ok_or_else(wrong)?),
        ('b', Value::Bool(truth)) => u8::from(*truth).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => {
            let sign = if *number < 0 { "-" } else { "" };
            format!("{sign}{}", digits(verb, number.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(number)) => digits(verb, *number),
        ('x' | 'X', Value::Text(text)) => bytes(verb, text.as_bytes()),
        ('x' | 'X', Value::Bytes(text)) => bytes(verb, text),
        ('d' | 'b' | 'o' | 'x' | 'X', _) => return Err(wrong()),
        (verb, _) => {
            return Err(format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\""));
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "a float is shown")]
fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(float) => Some(*float),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    }
}

fn digits(verb: char, number: u64) -> String {
    match verb {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    }
}

fn bytes(verb: char, bytes: &[u8]) -> String {
    let digit = |byte: &u8| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
    bytes.iter().map(digit).collect()
}

/// A value as `%s` shows it.
fn shown(value: &Value<'_>) -> Option<String> {
    if let Some(text) = text_of(value) {
        return text.ok();
    }
    let join = |parts: Vec<String>| parts.join(", ");
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Type(name) => (*name).to_owned(),
        Value::List(_) | Value::Elements(..) => {
            format!("[{}]", join(value.elements()?.iter().map(shown).collect::<Option<_>>()?))
        }
        Value::Map(_) | Value::Fields(..) => {
            let entry =
                |key: &Value<'_>, value: Option<Value<'_>>| Some(format!("{}: {}", shown(key)?, shown(&value?)?));
            let keys = value.iterate()?;
            let entries = keys.iter().map(|key| entry(key, value.at(key))).collect::<Option<Vec<_>>>()?;
            format!("{{{}}}", join(entries))
        }
        _ => return None,
    })
}
