//! Counts that may be given as a percentage: `maxSurge: 25%`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a fraction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    Up,
    Down,
}

/// The percentage in `text`, such as 25 for `25%`; `None` when it is not of that form.
pub fn percent(text: &str) -> Option<i32> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The count that `value` means when 100% is `total`; `None` when it is a text that is no percentage.
pub fn scaled(value: &IntOrString, total: i32, rounding: Rounding) -> Option<i32> {
    match value {
        IntOrString::Int(count) => Some(*count),
        IntOrString::String(text) => {
            let product = i64::from(percent(text)?) * i64::from(total);
            let count = match rounding {
                Rounding::Up => (product + 99).div_euclid(100),
                Rounding::Down => product.div_euclid(100),
            };
            i32::try_from(count).ok()
        }
    }
}

/// How many pods a rolling update may have too many and too few, as Kubernetes resolves it: the surge rounds up, the
/// unavailable round down, and if both came to 0 one may be unavailable, so that the update can proceed.
pub fn fenceposts(max_surge: Option<&IntOrString>, max_unavailable: Option<&IntOrString>, replicas: i32) -> (i32, i32) {
    let quarter = IntOrString::String("25%".to_owned());
    let surge = scaled(max_surge.unwrap_or(&quarter), replicas, Rounding::Up).unwrap_or(0).max(0);
    let unavailable = scaled(max_unavailable.unwrap_or(&quarter), replicas, Rounding::Down).unwrap_or(0).max(0);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let quarter = IntOrString::String("25%".into());
        for (total, up, down) in [(0, 0, 0), (1, 1, 0), (3, 1, 0), (4, 1, 1), (10, 3, 2)] {
            assert_eq!(scaled(&quarter, total, Rounding::Up), Some(up));
            assert_eq!(scaled(&quarter, total, Rounding::Down), Some(down));
        }
        assert_eq!(scaled(&IntOrString::String("x".into()), 4, Rounding::Up), None);
        assert_eq!(scaled(&IntOrString::Int(7), 4, Rounding::Up), Some(7));
    }

    #[test]
    fn an_update_can_always_proceed() {
        let zero = IntOrString::Int(0);
        assert_eq!(fenceposts(Some(&zero), Some(&IntOrString::String("10%".into())), 3), (0, 1));
        assert_eq!(fenceposts(None, None, 2), (1, 0));
        assert_eq!(fenceposts(None, None, 10), (3, 2));
    }
}
