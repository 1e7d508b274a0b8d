//! Leases: what the log says of them ([`Lease`], the same on all members), and the leader's deadlines ([`Expiry`]).
//!
//! **Invariant:** time passes only in [`Expiry`], on the leader. A lease ends by a replicated command, never by a clock that
//! a member reads while applying.

mod expiry;
pub(crate) mod table;

pub use expiry::{Expiry, Renewed};

/// A lease as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Never 0.
    pub id: i64,
    /// Time to live in seconds, as granted.
    pub ttl_seconds: i64,
    /// What was left when it was last recorded, or 0 when that is the whole time to live.
    pub remaining_seconds: i64,
}
