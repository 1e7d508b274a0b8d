//! Texts and regular expressions. Positions count characters.

use regex::Match;

use super::Answer;
use crate::cel::value::Value;
use crate::pattern::Pattern;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    if let [receiver, rest @ ..] = arguments
        && name == "join"
        && let Some(elements) = receiver.elements()
    {
        return Some(join(&elements, rest));
    }
    let [Value::Text(text), rest @ ..] = arguments else { return None };
    let text: &str = text;
    Some(match (name, rest) {
        ("contains", [Value::Text(part)]) => Ok(Value::Bool(text.contains(part.as_ref()))),
        ("startsWith", [Value::Text(part)]) => Ok(Value::Bool(text.starts_with(part.as_ref()))),
        ("endsWith", [Value::Text(part)]) => Ok(Value::Bool(text.ends_with(part.as_ref()))),
        ("charAt", [Value::Int(index)]) => char_at(text, *index),
        ("indexOf", [Value::Text(part)]) => Ok(Value::Int(find_from(text, part, 0))),
        ("indexOf", [Value::Text(part), Value::Int(from)]) => {
            position(text, *from).map(|from| Value::Int(find_from(text, part, from)))
        }
        ("lastIndexOf", [Value::Text(part)]) => Ok(Value::Int(find_back(text, part, text.chars().count()))),
        ("lastIndexOf", [Value::Text(part), Value::Int(from)]) => {
            position(text, *from).map(|from| Value::Int(find_back(text, part, from)))
        }
        ("lowerAscii", []) => Ok(Value::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Value::text(text.to_ascii_uppercase())),
        ("strings.quote", []) => Ok(Value::text(quoted(text))),
        ("trim", []) => Ok(Value::text(text.trim().to_owned())),
        ("replace", [Value::Text(old), Value::Text(new)]) => replace(text, old, new, -1),
        ("replace", [Value::Text(old), Value::Text(new), Value::Int(most)]) => replace(text, old, new, *most),
        ("split", [Value::Text(separator)]) => Ok(split(text, separator, -1)),
        ("split", [Value::Text(separator), Value::Int(most)]) => Ok(split(text, separator, *most)),
        ("substring", [Value::Int(from)]) => substring(text, *from, None),
        ("substring", [Value::Int(from), Value::Int(to)]) => substring(text, *from, Some(*to)),
        _ => return None,
    })
}

/// Within quotes, with what cannot be seen or would end the text escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        let escaped = match character {
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\x0c' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x0b' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            other => {
                quoted.push(other);
                continue;
            }
        };
        quoted.push_str(escaped);
    }
    quoted.push('"');
    quoted
}

fn join<'a>(elements: &[Value<'a>], separator: &[Value<'a>]) -> Answer<'a> {
    let separator = match separator {
        [Value::Text(text)] => &**text,
        _ => "",
    };
    let mut texts: Vec<&str> = Vec::with_capacity(elements.len());
    for element in elements {
        let Value::Text(text) = element else { return Err("no such overload".to_owned()) };
        texts.push(text);
    }
    Ok(Value::text(texts.join(separator)))
}

/// How long the text becomes that `join` makes; `None` for other functions.
///
/// # Errors
/// When it is longer than a text may be.
pub(crate) fn joined_bytes(name: &str, arguments: &[Value<'_>]) -> Result<Option<u64>, String> {
    let ("join", [list, separator @ ..]) = (name, arguments) else { return Ok(None) };
    let length = |text: &Value<'_>| if let Value::Text(text) = text { text.len() } else { 0 };
    let count = usize::try_from(list.size()).unwrap_or(usize::MAX);
    let mut bytes = separator.first().map_or(0, length).saturating_mul(count.saturating_sub(1));
    for index in 0..count {
        bytes = bytes.saturating_add(list.element(index).as_ref().map_or(0, length));
    }
    if bytes > MAX_MADE_BYTES { Err(TOO_LONG.to_owned()) } else { Ok(Some(bytes as u64)) }
}

/// The longest text that a rule makes.
pub(super) const MAX_MADE_BYTES: usize = 8 * 1024 * 1024;
pub(super) const TOO_LONG: &str = "the text would be too long";

fn replace<'a>(text: &str, old: &str, new: &str, most: i64) -> Answer<'a> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() }.min(most);
    if times.saturating_mul(new.len()).saturating_add(text.len()) > MAX_MADE_BYTES {
        return Err(TOO_LONG.to_owned());
    }
    Ok(Value::text(text.replacen(old, new, most)))
}

fn split<'a>(text: &str, separator: &str, most: i64) -> Value<'a> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let owned = |text: &str| Value::text(text.to_owned());
    let parts: Vec<Value<'a>> = if most == 0 {
        Vec::new()
    } else if separator.is_empty() {
        // One text for each character, and the rest in the last.
        let mut parts: Vec<Value<'a>> = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if parts.len() + 1 == most {
                break;
            }
            let (one, tail) = rest.split_at(character.len_utf8());
            parts.push(owned(one));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(owned(rest));
        }
        parts
    } else {
        text.splitn(most, separator).map(owned).collect()
    };
    Value::list(parts)
}

/// The functions of a regular expression, which the caller compiled.
pub(crate) fn with_pattern<'a>(name: &str, arguments: &[Value<'a>], pattern: &Pattern) -> Answer<'a> {
    let owned = |found: Match<'_>| Value::text(found.as_str().to_owned());
    let all = |text: &str, most: i64| {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Value::list(pattern.regex().find_iter(text).take(most).map(owned).collect())
    };
    match (name, arguments) {
        ("matches", [Value::Text(text), ..]) => Ok(Value::Bool(pattern.matches(text))),
        ("find", [Value::Text(text), ..]) => Ok(pattern.regex().find(text).map_or(Value::text(""), owned)),
        ("findAll", [Value::Text(text), _]) => Ok(all(text, -1)),
        ("findAll", [Value::Text(text), _, Value::Int(most)]) => Ok(all(text, *most)),
        _ => Err("no such overload".to_owned()),
    }
}

fn char_at<'a>(text: &str, index: i64) -> Answer<'a> {
    let index = position(text, index)?;
    Ok(Value::text(text.chars().nth(index).map(String::from).unwrap_or_default()))
}

fn position(text: &str, index: i64) -> Result<usize, String> {
    usize::try_from(index)
        .ok()
        .filter(|index| *index <= text.chars().count())
        .ok_or_else(|| format!("index out of range: {index}"))
}

/// The byte at which a character starts.
fn byte(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn find_from(text: &str, part: &str, from: usize) -> i64 {
    let start = byte(text, from);
    text[start..].find(part).map_or(-1, |at| characters(&text[..start + at]))
}

/// The last place that is not after `from`.
fn find_back(text: &str, part: &str, from: usize) -> i64 {
    let end = byte(text, from).saturating_add(part.len()).min(text.len());
    // The end may be within a character of the text; then the part does not end there.
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].rfind(part).map_or(-1, |at| characters(&text[..at]))
}

fn substring<'a>(text: &str, from: i64, to: Option<i64>) -> Answer<'a> {
    let start = position(text, from)?;
    let end = to.map_or(Ok(text.chars().count()), |to| position(text, to))?;
    if start > end {
        return Err(format!("invalid substring range. start: {start}, end: {end}"));
    }
    Ok(Value::text(text[byte(text, start)..byte(text, end)].to_owned()))
}
