//! Inputs that are the same in each run.

use std::fmt::Debug;

use bolero::bolero_engine::driver::{ByteSliceDriver, Options};

use crate::Inputs;

/// Choices of eight bytes that one input can be made of; what needs more takes the first ones.
const CHOICES: usize = 512;

/// The input of a number.
pub(crate) fn input<I: Inputs>(inputs: &I, number: usize) -> Option<I::Output> {
    // Marsaglia's xorshift, which must not begin at 0.
    let mut state = number as u64 + 1;
    let mut choice = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let choices: Vec<u8> = (0..CHOICES).flat_map(|_| choice()).collect();
    inputs.generate(&mut ByteSliceDriver::new(&choices, &Options::default()))
}

/// Prints the input when its property panics.
pub(crate) struct OnPanic<'a, T: Debug> {
    pub number: usize,
    pub input: &'a T,
}

impl<T: Debug> Drop for OnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input {} fails: {:?}", self.number, self.input);
        }
    }
}
