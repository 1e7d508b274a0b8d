//! Whether a text is a schedule: five fields of cron, or a word for the usual ones.

/// Minute, hour, day of the month, month, day of the week: the smallest and the largest value.
const FIELDS: [(&str, u32, u32); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6)];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// # Errors
/// What is wrong with the schedule.
pub(super) fn check(text: &str) -> Result<(), String> {
    if let Some(rest) = text.strip_prefix("@every ") {
        return every(rest).ok_or_else(|| format!("failed to parse duration {text}"));
    }
    if text.starts_with('@') {
        let known = WORDS.contains(&text);
        return if known { Ok(()) } else { Err(format!("unrecognized descriptor: {text}")) };
    }
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
    }
    for (index, field) in fields.iter().enumerate() {
        for part in field.split(',') {
            range(part, index)?;
        }
    }
    Ok(())
}

/// `1h30m`
fn every(text: &str) -> Option<()> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let unit = &rest[digits..];
        let length = if ["ms", "us", "ns"].iter().any(|long| unit.starts_with(long)) { 2 } else { 1 };
        if length == 1 && !unit.starts_with(['h', 'm', 's']) {
            return None;
        }
        rest = &unit[length..];
    }
    Some(())
}

/// `*`, `?`, `3`, `1-5`, `*/15`, `mon-fri`
fn range(part: &str, index: usize) -> Result<(), String> {
    let Some((name, least, most)) = FIELDS.get(index).copied() else { return Ok(()) };
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (part, None),
    };
    if let Some(step) = step {
        let step: u32 = step.parse().map_err(|_| format!("failed to parse int from {step}: invalid syntax"))?;
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
    }
    if matches!(span, "*" | "?") {
        return Ok(());
    }
    let (first, last) = span.split_once('-').unwrap_or((span, span));
    let (first, last) = (number(first, index)?, number(last, index)?);
    match () {
        () if first < least => Err(format!("beginning of range ({first}) below minimum ({least}) of {name}: {part}")),
        () if last > most => Err(format!("end of range ({last}) above maximum ({most}) of {name}: {part}")),
        () if first > last => Err(format!("beginning of range ({first}) beyond end of range ({last}): {part}")),
        () => Ok(()),
    }
}

fn number(text: &str, index: usize) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    let named = match index {
        3 => MONTHS.iter().position(|month| *month == lower).map(|position| position as u32 + 1),
        4 => DAYS.iter().position(|day| *day == lower).map(|position| position as u32),
        _ => None,
    };
    match named {
        Some(number) => Ok(number),
        None => text.parse().map_err(|_| format!("failed to parse int from {text}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz};

    use super::{WORDS, check};

    #[test]
    fn schedules_are_told_from_other_texts() {
        for good in ["* * * * *", "*/15 0-6,22 1 jan-mar MON", "@hourly", "@every 1h30m", "0 0 ? * 0"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "@never",
            "@every x",
            "a * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_schedule_is_one_whatever_its_letters_and_spaces() {
        let seeds = ["*/15 0-6,22 1 jan-mar MON", "@every 1h30m", "@hourly", "0 0 ? * 0", "59 23 31 12 6"];
        let words = ["*", "/", "-", ",", "?", " ", "@", "@every ", "jan", "SUN", "4294967296", "1.5h", "é"];
        fuzz!(Texts::new(&seeds, &words), |text| {
            if check(text).is_err() {
                return false;
            }
            if text.starts_with('@') {
                assert!(text.starts_with("@every ") || WORDS.contains(&text.as_str()));
                return true;
            }
            let fields: Vec<&str> = text.split_ascii_whitespace().collect();
            assert_eq!(fields.len(), 5);
            assert_eq!(check(&fields.join("  ").to_lowercase()), Ok(()), "{text}");
            true
        });
    }
}
