//! Judges what clients saw: a recorded [`history`] against a [`model`] of a correct store.
//!
//! Pure: neither knows where a history comes from. The scenarios on real processes and the simulation share it.

pub mod history;
pub mod linearizability;
pub mod model;
