//! Sizes, types, and conversions between scalars.

use super::Answer;
use super::time::{duration_text, parse_timestamp};
use crate::cel::value::Value;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let [value] = arguments else { return None };
    Some(match (name, value) {
        ("size", value) => Ok(Value::Int(i64::try_from(value.size()).unwrap_or(i64::MAX))),
        ("type", value) => Ok(Value::Type(value.type_name())),
        ("dyn", value) => Ok(value.clone()),
        ("bool", Value::Text(text)) => match text.as_ref() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!("type conversion error from 'string' to 'bool': {text:?}")),
        },
        ("int", Value::Uint(unsigned)) => i64::try_from(*unsigned).map(Value::Int).map_err(|_| overflow("integer")),
        ("int", Value::Double(float)) => {
            // The bounds themselves are floats that an integer does not reach.
            let fits = float.is_finite() && float.abs() < 9_223_372_036_854_775_808.0;
            #[expect(clippy::cast_possible_truncation, reason = "bounded in the line before")]
            if fits { Ok(Value::Int(float.trunc() as i64)) } else { Err(overflow("integer")) }
        }
        ("int", Value::Text(text)) => text.parse().map(Value::Int).map_err(|_| conversion(text, "int")),
        ("int", Value::Timestamp(moment)) => Ok(Value::Int(moment.as_second())),
        ("uint", Value::Int(integer)) => {
            u64::try_from(*integer).map(Value::Uint).map_err(|_| overflow("unsigned integer"))
        }
        ("uint", Value::Double(float)) => {
            let fits = (0.0..18_446_744_073_709_551_616.0).contains(float);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded in the line before")]
            if fits { Ok(Value::Uint(float.trunc() as u64)) } else { Err(overflow("unsigned integer")) }
        }
        ("uint", Value::Text(text)) => text.parse().map(Value::Uint).map_err(|_| conversion(text, "uint")),
        #[expect(clippy::cast_precision_loss, reason = "what the conversion means")]
        ("double", Value::Int(integer)) => Ok(Value::Double(*integer as f64)),
        #[expect(clippy::cast_precision_loss, reason = "what the conversion means")]
        ("double", Value::Uint(integer)) => Ok(Value::Double(*integer as f64)),
        ("double", Value::Text(text)) => text.parse().map(Value::Double).map_err(|_| conversion(text, "double")),
        ("string", value) => text_of(value)?.map(Value::text),
        ("bytes", Value::Text(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        ("timestamp", Value::Text(text)) => {
            parse_timestamp(text).map(Value::Timestamp).ok_or_else(|| conversion(text, "timestamp"))
        }
        ("timestamp", Value::Int(seconds)) => {
            jiff::Timestamp::from_second(*seconds).map(Value::Timestamp).map_err(|_| overflow("timestamp"))
        }
        ("duration", Value::Text(text)) => {
            super::time::go_duration(text).map(Value::Duration).ok_or_else(|| conversion(text, "duration"))
        }
        ("bool" | "int" | "uint" | "double" | "bytes" | "timestamp" | "duration", value) => Ok(value.clone()),
        _ => return None,
    })
}

/// A value as text, where it has one.
pub(super) fn text_of(value: &Value<'_>) -> Option<Result<String, String>> {
    Some(Ok(match value {
        Value::Text(text) => text.as_ref().to_owned(),
        Value::Int(integer) => integer.to_string(),
        Value::Uint(integer) => integer.to_string(),
        Value::Double(float) => float.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => return Some(Err("invalid UTF-8 in bytes, cannot convert to string".to_owned())),
        },
        Value::Timestamp(moment) => moment.to_string(),
        Value::Duration(duration) => duration_text(*duration),
        Value::Ip(address) => address.to_string(),
        Value::Cidr(address, bits) => format!("{address}/{bits}"),
        _ => return None,
    }))
}

fn overflow(what: &str) -> String {
    format!("{what} overflow")
}

fn conversion(text: &str, to: &str) -> String {
    format!("type conversion error from 'string' to '{to}': {text:?}")
}
