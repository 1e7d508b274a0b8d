//! Exponential back-off with jitter, as plain values.

use std::time::Duration;

/// Delays that double from `base` up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The delay before try number `failures` + 1, without jitter: `base · 2^failures`, at most `max`.
    pub fn exact(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// The delay with jitter: between half and all of [`Backoff::exact`], so that clients that failed together do not come
    /// back together. `random` is any number; all its bits count.
    pub fn delay(&self, failures: u32, random: u32) -> Duration {
        let exact = self.exact(failures);
        let fraction = f64::from(random) / f64::from(u32::MAX);
        exact.mul_f64(0.5 + fraction / 2.0).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1000));

    #[test]
    fn doubles_up_to_the_maximum() {
        assert_eq!(BACKOFF.exact(0), Duration::from_millis(5));
        assert_eq!(BACKOFF.exact(1), Duration::from_millis(10));
        assert_eq!(BACKOFF.exact(10), Duration::from_millis(5120));
        assert_eq!(BACKOFF.exact(18), Duration::from_secs(1000));
        assert_eq!(BACKOFF.exact(u32::MAX), Duration::from_secs(1000));
    }

    #[test]
    fn jitter_stays_between_half_and_all() {
        assert_eq!(BACKOFF.delay(3, 0), Duration::from_millis(20));
        assert_eq!(BACKOFF.delay(3, u32::MAX), Duration::from_millis(40));
        assert_eq!(BACKOFF.delay(u32::MAX, u32::MAX), Duration::from_secs(1000));
    }
}
