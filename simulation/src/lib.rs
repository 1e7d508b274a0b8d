//! The whole store over a simulated clock, network and disk, from one seed.
//!
//! Members run the code that ships, Raft, MVCC, leases, watches and snapshots, on [machines](keelson_store::machine) that
//! this crate makes up: one thread, a clock that jumps to the next timer, a [network] that delays, breaks and cuts, a
//! [disk] that loses at a crash what was not synced. [Clients](workload) work on them, [faults] hurt them, and
//! [invariants] are checked all the while. Then everything heals, and the members must agree again.
//!
//! **Invariant**: the same seed makes the same run. All that is random comes from it ([`entropy`] takes care of what
//! libraries draw), and each run is a process of its own, because some libraries count in statics.

pub mod cluster;
pub mod disk;
pub mod entropy;
pub mod faults;
pub mod invariants;
pub mod mutant;
pub mod network;
pub mod random;
pub mod run;
pub mod trace;
pub mod workload;
pub mod world;

pub use mutant::Mutant;
pub use run::{Outcome, run};
