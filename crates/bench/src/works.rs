//! What is measured, one file a work.

mod keys;
mod put;

pub use put::Put;

/// Size of a value, unless a work says otherwise.
pub const VALUE_BYTES: usize = 256;
/// What a list has to fetch.
pub const LIST_KEYS: usize = 3_000;
/// And how large each value is.
pub const LIST_VALUE_BYTES: usize = 1 << 10;
/// How long a lease lives without being kept alive.
pub const LEASE_SECONDS: i64 = 60;
