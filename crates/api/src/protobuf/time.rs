//! Moments: a message of seconds and nanoseconds on the wire, RFC 3339 in JSON. The zero moment is an empty message, and
//! absent in JSON. Lengths of time: a message of nanoseconds, in JSON as Go writes them.

use jiff::{SignedDuration, Timestamp};
use keelson_types::duration_go;
use serde_json::Value;

use super::wire::{Reader, Result, put_number};

/// The beginning of the year 0: RFC 3339 has no years before it.
const FIRST_SECOND: i64 = -62_167_219_200;

/// What JSON keeps of a moment.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Microseconds,
}

pub(super) fn decode(bytes: &[u8], unit: Unit) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(bytes);
    let (mut seconds, mut nanoseconds) = (0, 0);
    while let Some((number, payload)) = reader.field()? {
        match number {
            1 => seconds = payload.varint()? as i64,
            2 => nanoseconds = payload.varint()? as i32,
            _ => {}
        }
    }
    let moment = Timestamp::new(seconds, nanoseconds).ok().filter(|moment| moment.as_second() >= FIRST_SECOND);
    let moment = moment.ok_or("the moment is outside of what a calendar has")?;
    let format = match unit {
        Unit::Seconds => "%Y-%m-%dT%H:%M:%SZ",
        Unit::Microseconds => "%Y-%m-%dT%H:%M:%S.%6fZ",
    };
    Ok(moment.strftime(format).to_string().into())
}

/// None when the text is no moment.
pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
    let moment: Timestamp = text.parse().ok()?;
    let mut out = Vec::new();
    put_number(1, moment.as_second() as u64, &mut out);
    put_number(2, moment.subsec_nanosecond() as u64, &mut out);
    Some(out)
}

pub(super) fn decode_length(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let mut nanoseconds = 0;
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            nanoseconds = payload.varint()? as i64;
        }
    }
    Ok(duration_go(SignedDuration::from_nanos(nanoseconds)).into())
}

/// None when the text is no length of time, or one of centuries.
pub(super) fn encode_length(text: &str) -> Option<Vec<u8>> {
    let length: SignedDuration = text.parse().ok()?;
    let mut out = Vec::new();
    put_number(1, i64::try_from(length.as_nanos()).ok()? as u64, &mut out);
    Some(out)
}
