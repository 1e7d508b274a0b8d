//! What a member runs on: the operating system or, in a simulation, a machine that a test makes up.
//!
//! A simulation needs all that a member does to happen on one thread, in simulated time and over a simulated network and
//! disk, and to end at once when the member crashes. So whatever starts a task, blocks a thread, reads a clock, syncs a
//! disk or speaks to a peer asks here. On the operating system each of these is the plain call, at the cost of one look
//! at a thread-local variable.
//!
//! **Invariant**: what a simulated member starts, directly or not, belongs to its [`Machine`].

pub(crate) mod clock;
pub(crate) mod files;
mod simulated;
mod tasks;

use std::cell::RefCell;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::{JoinHandle, JoinSet};

pub use clock::Clock;
pub use files::Step;
pub use simulated::{Channel, Machine, World};
pub(crate) use tasks::Tasks;

thread_local! {
    /// The machine whose task is being polled.
    static CURRENT: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// The simulated machine that the calling task belongs to. None on the operating system.
pub(crate) fn current() -> Option<Machine> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `work` as a part of what `machine` does.
fn enter<T>(machine: &Machine, work: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Some(machine.clone()));
    let result = work();
    CURRENT.set(before);
    result
}

/// Starts a task.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current() {
        None => tokio::spawn(future),
        Some(machine) => machine.spawn(future),
    }
}

/// Starts `work` where it may block.
pub(crate) fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match current() {
        None => tokio::task::spawn_blocking(work),
        // There is one thread, and a simulated disk does not keep it waiting.
        Some(machine) => machine.spawn(async move { work() }),
    }
}

/// Starts a task that ends with `tasks`.
fn spawn_in<F>(tasks: &mut JoinSet<F::Output>, future: F)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current() {
        None => tasks.spawn(future),
        Some(machine) => tasks.spawn(machine.scope(future)),
    };
}

/// The clock that deadlines of leases are kept by. It never goes back.
pub(crate) fn now() -> Instant {
    clock::Instant::now().into_std()
}

/// The time of day, in milliseconds since 1970. It may go back.
pub(crate) fn unix_millis() -> i64 {
    let operating_system = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let since = current().map_or_else(operating_system, |machine| machine.world().time_of_day());
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number unlike any that this member drew in an earlier run.
pub(crate) fn random_start() -> u64 {
    match current() {
        None => rand::random(),
        // A simulated run is the same each time, and so is the time of day at which a member starts.
        Some(_) => unix_millis().unsigned_abs() << u16::BITS,
    }
}
