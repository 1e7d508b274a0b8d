//! Who leads, as a plain value that the loops and the API pass around.

/// What one member knows about leadership. The Raft term is the fence of every write that a leading loop makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The current Raft term; 0 before the first election.
    pub term: u64,
    /// Whether this member leads in `term` and has applied everything from the terms before.
    pub leading: bool,
    /// The leader of `term`, when one is known.
    pub leader_id: Option<u64>,
}
