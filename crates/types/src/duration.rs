//! Ages as kubectl writes them.

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
}
