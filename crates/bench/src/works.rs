//! What is measured, one file a work.

pub mod api;
mod check_perf;
mod compaction;
mod fill;
mod keep_alive;
mod keys;
mod large;
mod list;
mod mixed;
mod put;
mod read;
mod unary;
mod update;
mod versions;
mod watch;

#[cfg(test)]
mod tests;

pub use check_perf::CheckPerf;
pub use compaction::Compaction;
pub use keep_alive::KeepAlive;
pub use large::Large;
pub use list::List;
pub use mixed::Mixed;
pub use put::Put;
pub use read::Read;
pub use unary::Unary;
pub use update::Update;
pub use versions::Versions;
pub use watch::Watch;

/// Size of a value, unless a work says otherwise.
pub const VALUE_BYTES: usize = 256;
/// What a list has to fetch.
pub const LIST_KEYS: usize = 3_000;
/// And how large each value is.
pub const LIST_VALUE_BYTES: usize = 1 << 10;
/// How long a lease lives without being kept alive.
pub const LEASE_SECONDS: i64 = 60;
