//! What surrounds one member's machine.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use keelson_store::machine::{Channel, Clock, Step, World};

use crate::disk::Disk;
use crate::invariants::Invariants;
use crate::mutant::Mutant;
use crate::network::Network;
use crate::random::Random;
use crate::trace::Trace;

/// The time of day at the start of a run, in seconds since 1970.
const START_SECONDS: i64 = 1_700_000_000;
/// The speed of a clock that is right.
pub const SPEED_PPM: u32 = 1_000_000;
/// Turns of 10,000 in which a task that could go on waits for the next: other tasks overtake it.
const DELAYED_TURNS: u32 = 100;

/// A member's surroundings, from the start of the run to its end.
pub struct MemberWorld {
    pub member: usize,
    pub network: Network,
    pub disk: Arc<Disk>,
    pub invariants: Arc<Invariants>,
    pub turns: Random,
    pub trace: Trace,
    pub mutant: Option<Mutant>,
    /// By how much every member's time of day is wrong, in milliseconds.
    pub wrong_by_ms: Arc<[AtomicI64]>,
    /// How fast its monotonic clock is, in parts of a million.
    pub speed_ppm: u32,
    /// What a mutant has seen of another's time of day.
    pub trusted_ms: AtomicI64,
}

impl MemberWorld {
    /// The most that the next member's time of day was ever ahead.
    fn trusted(&self) -> Duration {
        let next = (self.member + 1) % self.wrong_by_ms.len();
        let ahead = self.wrong_by_ms[next].load(Ordering::Relaxed).max(0);
        let most = self.trusted_ms.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        Duration::from_millis(most.unsigned_abs())
    }
}

impl World for MemberWorld {
    fn time_of_day(&self) -> Duration {
        let elapsed = i64::try_from(self.trace.elapsed().as_millis()).unwrap_or(i64::MAX);
        let millis = START_SECONDS * 1000 + elapsed + self.wrong_by_ms[self.member].load(Ordering::Relaxed);
        Duration::from_millis(millis.max(0).unsigned_abs())
    }

    fn clock(&self) -> Clock {
        let right = Clock { since: self.trace.start(), speed_ppm: self.speed_ppm, ahead: Duration::ZERO };
        match self.mutant {
            Some(Mutant::EarlyLease) => Clock { speed_ppm: 2 * SPEED_PPM, ..right },
            Some(Mutant::TrustedClock) => Clock { ahead: self.trusted(), ..right },
            _ => right,
        }
    }

    fn connect(&self, address: &str) -> Channel {
        self.network.connect(self.member, member_at(address))
    }

    fn serve(&self, services: Channel) -> BoxFuture<'static, ()> {
        self.network.serve(self.member, services);
        Box::pin(std::future::pending())
    }

    fn before_sync(&self, file: &Path, range: Range<u64>) -> BoxFuture<'static, io::Result<()>> {
        let (disk, file) = (Arc::clone(&self.disk), file.to_owned());
        Box::pin(async move { disk.before_sync(file, range).await })
    }

    fn after_sync(&self) -> BoxFuture<'static, io::Result<()>> {
        let disk = Arc::clone(&self.disk);
        Box::pin(async move { disk.after_sync().await })
    }

    fn before_step(&self, step: &Step<'_>) -> io::Result<()> {
        self.disk.before_step(step)
    }

    fn applied(&self, index: u64, term: u64, entry: &[u8]) {
        self.trace.line(format_args!("member {} applies {index} of term {term}", self.member));
        self.invariants.log.applied(self.member, index, term, entry);
    }

    fn delays(&self) -> bool {
        self.turns.chance(DELAYED_TURNS)
    }
}

/// The address of a member.
pub fn address_of(member: usize) -> String {
    format!("member-{member}:2380")
}

/// The member at an address.
pub fn member_at(address: &str) -> usize {
    let number = address.trim_start_matches("member-").trim_end_matches(":2380");
    number.parse().expect("an address of this simulation")
}
