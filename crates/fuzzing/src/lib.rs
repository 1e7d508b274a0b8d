//! Fuzz targets that are tests: each tries a decoder with inputs that are made of valid ones, and says what must hold of all.
//!
//! ```ignore
//! #[test]
//! fn what_is_read_is_printed_and_read_again() {
//!     fuzz!(Texts::new(&["100m", "1.5Gi"], &["e", "-"]), |text| match text.parse::<Quantity>() {
//!         Ok(quantity) => {
//!             assert_eq!(quantity.to_string().parse(), Ok(quantity));
//!             true
//!         }
//!         Err(_) => false,
//!     });
//! }
//! ```
//!
//! The property answers whether the input was accepted. Every seed must be: a target whose decoder refuses all it gets says nothing.
//!
//! `cargo test` tries the same inputs each time, so that a change is judged by itself. With `KEELSON_FUZZ_SECONDS`, choices are random,
//! and the seed of those that led to a failure is printed; `cargo bolero` lets a fuzzer that sees what was covered make them.
//! CONTRIBUTING.md says how.
//!
//! For tests only: nothing that ships depends on this.

mod bytes;
mod dice;
mod inputs;
mod json;
mod known;
pub mod seeds;

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

#[doc(hidden)]
pub use bolero;
use bolero::{BorrowedInput, ByteSliceGenerator, DefaultEngine, TestTarget};
pub use bytes::BYTES_MAX;
pub use inputs::{Bytes, Documents, Inputs, Objects, Texts, Updates};
use rustix::time::{ClockId, clock_gettime};

/// Inputs and time of a target in a usual run of the tests, whichever ends first: some fifty targets have to fit in a minute.
const INPUTS_MAX: usize = 10_000;
const TIME_MAX: Duration = Duration::from_secs(2);
/// Runs each target for so many seconds instead, with other inputs each time.
const SECONDS: &str = "KEELSON_FUZZ_SECONDS";
/// Of the processor, for one input of at most [`BYTES_MAX`]: a hundred times what any takes, as these tests are compiled.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs a target; see the crate. The function around it is the target, by its name.
#[macro_export]
macro_rules! fuzz {
    ($inputs:expr, $property:expr $(,)?) => {
        $crate::run($crate::bolero::check!(), $inputs, $property)
    };
}

/// What [`fuzz!`] calls.
///
/// # Panics
/// When the property does, for a seed that it refuses, and for an input that takes too long.
pub fn run<I: Inputs>(
    target: TestTarget<ByteSliceGenerator, DefaultEngine, BorrowedInput>,
    inputs: I,
    property: impl Fn(&I::Output) -> bool,
) where
    I::Output: Debug,
{
    let seeds = inputs.seeds();
    assert!(!seeds.is_empty(), "a target needs an input that is accepted");
    for seed in &seeds {
        assert!(within(INPUT_TIME_MAX, || property(seed)), "a seed is refused: {seed:?}");
    }
    // Properties share nothing from one input to the next, and numbers are whole at any time.
    let (tried, accepted) = (AssertUnwindSafe(Cell::new(0_u64)), AssertUnwindSafe(Cell::new(0_u64)));
    let try_one = AssertUnwindSafe(|input: &I::Output| {
        let is_accepted = within(INPUT_TIME_MAX, || property(input));
        tried.set(tried.get() + 1);
        accepted.set(accepted.get() + u64::from(is_accepted));
    });
    match std::env::var(SECONDS) {
        Ok(seconds) => {
            let seconds = seconds.parse().unwrap_or_else(|error| panic!("{SECONDS}={seconds}: {error}"));
            let target = target.with_generator(inputs).with_iterations(usize::MAX);
            target.with_test_time(Duration::from_secs(seconds)).for_each(|input: &I::Output| {
                let try_one: &AssertUnwindSafe<_> = &try_one;
                (try_one.0)(input);
            });
        }
        Err(_) => {
            let began = Instant::now();
            for number in (0..INPUTS_MAX).take_while(|_| began.elapsed() < TIME_MAX) {
                if let Some(input) = known::input(&inputs, number) {
                    let _shown = known::OnPanic { number, input: &input };
                    (try_one.0)(&input);
                }
            }
        }
    }
    // For whoever writes a target (`--nocapture`): one that refuses nearly all does not get far into its decoder.
    eprintln!("{} inputs were tried, {} of them accepted", tried.get(), accepted.get());
}

/// What `body` answers, unless it takes too long. The time is the processor's, so that a busy machine makes nobody fail.
fn within(time_max: Duration, body: impl FnOnce() -> bool) -> bool {
    let began = thread_time();
    let accepted = body();
    let took = thread_time().saturating_sub(began);
    assert!(took <= time_max, "one input takes {took:?}");
    accepted
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

#[cfg(test)]
mod tests;
