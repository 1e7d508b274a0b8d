//! What happened, line by line, and a checksum of it: two runs of a seed are alike when theirs are equal.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The record of one run. Clones are the same record.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    print: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hash: u64,
    lines: u64,
}

impl Trace {
    /// Starts now. With `print`, each line goes to standard error.
    pub fn new(print: bool) -> Self {
        let state = Mutex::new(State { hash: FNV_OFFSET, lines: 0 });
        Self(Arc::new(Inner { start: Instant::now(), print, state }))
    }

    /// When it started.
    pub fn start(&self) -> Instant {
        self.0.start
    }

    /// Simulated time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.start.elapsed()
    }

    /// Adds a line.
    pub fn line(&self, what: fmt::Arguments<'_>) {
        let text = format!("{:>10.3} {what}", self.elapsed().as_secs_f64());
        let mut state = self.0.state.lock();
        // Fowler, Noll and Vo's hash, 1a.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        state.hash = text.bytes().chain([b'\n']).fold(state.hash, hash);
        state.lines += 1;
        if self.0.print {
            eprintln!("{text}");
        }
    }

    /// The checksum of all lines, and their number.
    pub fn checksum(&self) -> (u64, u64) {
        let state = self.0.state.lock();
        (state.hash, state.lines)
    }
}
