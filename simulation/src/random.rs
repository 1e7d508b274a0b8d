//! Random numbers from the seed.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// A stream of random numbers. Clones draw from the same stream.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// The stream called `name` of a seed. What is drawn from one stream does not change another.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (place, byte) in name.bytes().enumerate() {
            key[8 + place % 24] ^= byte;
        }
        Self(Arc::new(Mutex::new(StdRng::from_seed(key))))
    }

    /// A number of the range, each as likely.
    pub fn number(&self, range: RangeInclusive<u64>) -> u64 {
        self.0.lock().random_range(range)
    }

    /// Below `end`, which is above 0.
    pub fn below(&self, end: usize) -> usize {
        self.0.lock().random_range(0..end)
    }

    /// True in so many of 10,000 cases.
    pub fn chance(&self, of_ten_thousand: u32) -> bool {
        of_ten_thousand > 0 && self.0.lock().random_range(0..10_000) < of_ten_thousand
    }

    /// A time of whole milliseconds.
    pub fn millis(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    /// One of them; None of none.
    pub fn pick<T: Clone>(&self, from: &[T]) -> Option<T> {
        from.choose(&mut *self.0.lock()).cloned()
    }
}
