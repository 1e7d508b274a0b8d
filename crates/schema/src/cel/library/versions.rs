//! Semantic versions.

use std::cmp::Ordering;
use std::rc::Rc;

use semver::Version;

use super::Answer;
use crate::cel::value::Value;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let number = |number: u64| i64::try_from(number).map(Value::Int).map_err(|_| "integer overflow".to_owned());
    Some(match (name, arguments) {
        ("semver", [Value::Text(text), rest @ ..]) => parse(text, rest)?.map(|version| Value::Semver(Rc::new(version))),
        ("isSemver", [Value::Text(text), rest @ ..]) => Ok(Value::Bool(parse(text, rest)?.is_ok())),
        ("major", [Value::Semver(version)]) => number(version.major),
        ("minor", [Value::Semver(version)]) => number(version.minor),
        ("patch", [Value::Semver(version)]) => number(version.patch),
        (_, [Value::Semver(left), Value::Semver(right)]) => {
            let order = left.cmp_precedence(right);
            match name {
                "isGreaterThan" => Ok(Value::Bool(order == Ordering::Greater)),
                "isLessThan" => Ok(Value::Bool(order == Ordering::Less)),
                "compareTo" => Ok(Value::Int(order as i64)),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The version that a text is; when normalized, also of one that is written more freely.
fn parse(text: &str, normalize: &[Value<'_>]) -> Option<Result<Version, String>> {
    let normalized = match normalize {
        [] | [Value::Bool(false)] => text.to_owned(),
        [Value::Bool(true)] => normal(text),
        _ => return None,
    };
    Some(normalized.parse().map_err(|error| format!("{text:?} is no semantic version: {error}")))
}

/// Without a leading `v` and leading zeros, and with the parts that are left out. What follows a version that is short is not
/// moved behind the zeros, so that it stays wrong.
fn normal(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
    while parts.len() < 3 && !parts.last().is_some_and(|part| part.contains(['+', '-'])) {
        parts.push("0".to_owned());
    }
    parts.join(".")
}

fn without_zeros(part: &str) -> String {
    let rest = part.trim_start_matches('0');
    if rest.len() == part.len() || rest.starts_with(|first: char| first.is_ascii_digit()) {
        return rest.to_owned();
    }
    format!("0{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_strictly_unless_they_may_be_normalized() {
        for (text, strictly, normalized) in [
            ("1.2.3-rc.1+build", Some("1.2.3-rc.1+build"), Some("1.2.3-rc.1+build")),
            ("v1.2.3", None, Some("1.2.3")),
            ("1", None, Some("1.0.0")),
            ("v01.002", None, Some("1.2.0")),
            ("0.00.000-a", None, Some("0.0.0-a")),
            ("1.2-rc", None, None),
            ("1.2.3.4", None, None),
            ("", None, None),
            ("x", None, None),
        ] {
            let read = |normalize: bool| {
                let read = parse(text, &[Value::Bool(normalize)]).expect("a truth");
                read.ok().map(|version| version.to_string())
            };
            assert_eq!(read(false).as_deref(), strictly, "{text}");
            assert_eq!(read(true).as_deref(), normalized, "{text}");
        }
    }
}
