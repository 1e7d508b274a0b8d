//! The client against scripted members, over real connections.

mod failover;
mod fake;
mod follow;
mod record;
mod secure;
