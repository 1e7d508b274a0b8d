//! How many keys to ask for at one time, so that answers are about as large as wanted. Pure.

/// Before anything is known of the keys' sizes.
const FIRST_KEYS: usize = 64;
/// However small they are: the next ones may be large, and the source holds all of them in memory at one time.
const KEYS_MAX: usize = 500;
/// How many more keys are asked for after small answers, once an answer was too large: others like it may follow.
const GROWTH_KEYS: usize = 8;
/// What a limit is divided by that gave an answer above what may be received.
const STEP_BACK: usize = 16;

/// The limit of the next answer.
#[derive(Debug)]
pub(super) struct Pace {
    keys: usize,
    page_bytes: usize,
    /// An answer was too large.
    careful: bool,
}

impl Pace {
    pub(super) fn new(page_bytes: usize) -> Self {
        Self { keys: FIRST_KEYS, page_bytes: page_bytes.max(1), careful: false }
    }

    pub(super) fn limit(&self) -> i64 {
        i64::try_from(self.keys).unwrap_or(1)
    }

    /// An answer had so many bytes.
    pub(super) fn took(&mut self, bytes: usize) {
        if bytes > self.page_bytes {
            self.keys = (self.keys.saturating_mul(self.page_bytes) / bytes).max(1);
        } else if bytes < self.page_bytes / 2 {
            let more = if self.careful { GROWTH_KEYS } else { self.keys };
            self.keys = (self.keys + more).min(KEYS_MAX);
        }
    }

    /// An answer was too large to be received; false when it had one key only.
    pub(super) fn step_back(&mut self) -> bool {
        self.careful = true;
        let fewer = self.keys > 1;
        self.keys = (self.keys / STEP_BACK).max(1);
        fewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_sizes_within_its_bounds() {
        let mut pace = Pace::new(1000);
        for _ in 0..20 {
            pace.took(10);
        }
        assert_eq!(pace.limit(), 500);
        pace.took(12_500);
        assert_eq!(pace.limit(), 40);
        pace.took(900);
        assert_eq!(pace.limit(), 40);
        assert!(pace.step_back());
        assert!(pace.step_back());
        assert!(!pace.step_back(), "of one key only");
        pace.took(1 << 30);
        assert_eq!(pace.limit(), 1);
        // What was too large once makes it slow to ask for much again.
        for expected in [9, 17, 25] {
            pace.took(10);
            assert_eq!(pace.limit(), expected);
        }
    }
}
