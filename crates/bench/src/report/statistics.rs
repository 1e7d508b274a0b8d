//! Medians, spreads and ratios of few values. Pure.

/// The middle value, or the mean of the two middle ones. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the greatest value. `None` without values.
pub fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().reduce(f64::min)?;
    let greatest = values.iter().copied().reduce(f64::max)?;
    Some((least, greatest))
}

/// Ours by theirs, pair by pair: the median, and the spread. Pairs without a ratio (theirs is zero) are left out.
///
/// The ratio of each pair, rather than of the medians: what disturbed the machine for a while disturbed both runs of a pair.
pub fn ratio(theirs: &[f64], ours: &[f64]) -> Option<(f64, (f64, f64))> {
    let ratios: Vec<f64> =
        theirs.iter().zip(ours).filter(|(theirs, _)| **theirs != 0.0).map(|(theirs, ours)| ours / theirs).collect();
    Some((median(&ratios)?, spread(&ratios)?))
}

/// A number with as many digits as matter.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1_000.0 => thousands(value.round() as i64),
        _ if size >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A number with its unit, if it has one.
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" | "/s" | "×" => format!("{}{unit}", digits(value)),
        _ => format!("{} {unit}", digits(value)),
    }
}

fn thousands(value: i64) -> String {
    let text = value.abs().to_string();
    let mut grouped = String::new();
    for (position, digit) in text.chars().enumerate() {
        if position > 0 && (text.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0 { format!("-{grouped}") } else { grouped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_spread_is_from_the_least_to_the_greatest() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[2.0, -1.0, 7.0]), Some((-1.0, 7.0)));
    }

    #[test]
    fn a_ratio_is_taken_pair_by_pair() {
        // A disturbance that halves both runs of a pair changes nothing.
        assert_eq!(ratio(&[100.0, 50.0, 100.0], &[200.0, 100.0, 300.0]), Some((2.0, (2.0, 3.0))));
        assert_eq!(ratio(&[0.0], &[1.0]), None);
        assert_eq!(ratio(&[], &[1.0]), None);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let shown = [0.0, 0.391, 9.999, 12.34, 123.4, 1234.6, 22_300.0, 1_234_567.0, -5_000.0].map(digits);
        assert_eq!((with_unit(1.5, "×"), with_unit(19.0, "ms")), ("1.50×".to_owned(), "19 ms".to_owned()));
        assert_eq!(shown, ["0", "0.39", "10.00", "12.3", "123", "1,235", "22,300", "1,234,567", "-5,000"]);
    }
}
