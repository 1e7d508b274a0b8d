//! Lengths of time: ages as kubectl writes them, and the form that JSON has.

use jiff::SignedDuration;

/// `5s`, `2m10s`, `15m`, `3h20m`, `2d5h`, `1y30d`: the precision falls as the age grows. A moment in the near future is
/// `0s`, one further ahead `<invalid>`.
pub fn duration_human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        () if years < 2 => format!("{days}d"),
        () if years < 8 => two(years, "y", days % 365, "d"),
        () => format!("{years}y"),
    }
}

/// The form in which JSON has a length of time, which is Go's: `10s`, `1m30s`, `2h0m0s`, `1.5s`, `250ms`.
pub fn duration_go(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let length = duration.unsigned_abs();
    let (seconds, nanos) = (length.as_secs(), length.subsec_nanos());
    let fraction = |units: u64, parts: u32, digits: usize| match parts {
        0 => units.to_string(),
        parts => format!("{units}.{parts:0digits$}").trim_end_matches('0').to_owned(),
    };
    let text = match (seconds, nanos) {
        (0, 0) => return "0s".to_owned(),
        (0, 1..1_000) => format!("{nanos}ns"),
        (0, 1_000..1_000_000) => fraction(u64::from(nanos / 1_000), nanos % 1_000, 3) + "µs",
        (0, _) => fraction(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6) + "ms",
        (1..60, _) => fraction(seconds, nanos, 9) + "s",
        (60..3_600, _) => format!("{}m{}s", seconds / 60, fraction(seconds % 60, nanos, 9)),
        _ => format!("{}h{}m{}s", seconds / 3_600, seconds / 60 % 60, fraction(seconds % 60, nanos, 9)),
    };
    format!("{sign}{text}")
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_print_as_kubectl_prints_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 61, "3h1m"),
            (8 * 3600 + 61, "8h"),
            (50 * 3600, "2d2h"),
            (24 * 9 * 3600, "9d"),
            (86_400 * 365 * 2, "2y"),
            (86_400 * (365 * 2 + 3), "2y3d"),
            (86_400 * 365 * 9, "9y"),
        ] {
            assert_eq!(duration_human(SignedDuration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn lengths_are_written_as_go_writes_them_and_read_back() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_000_000_000, "1s"),
            (10_042_000_000, "10.042s"),
            (90_000_000_000, "1m30s"),
            (60_000_000_001, "1m0.000000001s"),
            (7_200_000_000_000, "2h0m0s"),
            (-1_500_000_000, "-1.5s"),
        ] {
            assert_eq!(duration_go(SignedDuration::from_nanos(nanos)), text);
            let read: SignedDuration = text.parse().expect(text);
            assert_eq!(read.as_nanos(), i128::from(nanos));
        }
    }
}
