//! Consensus: openraft with this store's log, state machine and network.
//!
//! Only this module names openraft's types. Terms have one leader each (`leader_id_std`), because the term is the fence of
//! leading loops. openraft counts entries from 0, everything else here and the state from 1: see [`codec::position`].

pub(crate) mod codec;
pub(crate) mod config;
pub(crate) mod gate;
pub(crate) mod log;
pub(crate) mod network;
mod runtime;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod state_machine;
pub(crate) mod types;

/// A running Raft member.
pub(crate) type Raft = openraft::Raft<types::TypeConfig, state_machine::StateMachine>;
