//! A machine's own clock, which need not be as fast as another's.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use tokio::time::Instant as True;

use super::current;

/// Parts of a million in which speeds are counted.
const MILLION: u32 = 1_000_000;

/// What a simulated machine's clock makes of true time. It never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When it was right.
    pub since: True,
    /// Its seconds in a million of true ones; not 0.
    pub speed_ppm: u32,
    /// What it has jumped ahead since.
    pub ahead: Duration,
}

impl Clock {
    fn reads(&self, at: True) -> True {
        self.since + at.saturating_duration_since(self.since) * self.speed_ppm / MILLION + self.ahead
    }

    /// When it reads `reading`, or a little later.
    fn at(&self, reading: True) -> True {
        let passed = reading.saturating_duration_since(self.since).saturating_sub(self.ahead);
        self.since + passed * MILLION / self.speed_ppm + Duration::from_nanos(1)
    }
}

/// A reading of the monotonic clock of the calling task's machine: the operating system's, unless it is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(True);

impl Instant {
    /// Now.
    pub(crate) fn now() -> Self {
        let now = True::now();
        Self(current().map_or(now, |machine| machine.world().clock().reads(now)))
    }

    /// As the standard library has it.
    pub(crate) fn into_std(self) -> std::time::Instant {
        self.0.into_std()
    }

    /// The moment, by the runtime's clock, at which this is read.
    pub(crate) fn at(self) -> True {
        current().map_or(self.0, |machine| machine.world().clock().at(self.0))
    }
}

/// How long the runtime's clock takes for `duration` of the machine's own.
pub(crate) fn lasts(duration: Duration) -> Duration {
    current().map_or(duration, |machine| {
        // Whoever waits for ever does not have to be exact.
        duration.checked_mul(MILLION).map_or(duration, |scaled| scaled / machine.world().clock().speed_ppm)
    })
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_fast_reads_more_and_never_rings_early() {
        let since = True::now();
        let clock = Clock { since, speed_ppm: 1_100_000, ahead: Duration::from_secs(3) };
        let at = since + Duration::from_secs(10);
        assert_eq!(clock.reads(at), since + Duration::from_secs(14));
        let rings = clock.at(clock.reads(at));
        assert!(rings >= at && rings <= at + Duration::from_nanos(2), "{rings:?} {at:?}");
        assert!(clock.reads(rings) >= clock.reads(at));
    }
}
