//! What a member's API needs to start, with its limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::{cache, tls};

/// How to run the API of one member. Build it with [`Options::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one port of both fronts.
    pub listen: SocketAddr,
    pub tls: tls::Files,
    /// Where clients reach each member's API, by the member's name; shown in the cluster's status.
    pub api_addresses: BTreeMap<String, String>,
    /// How long a pod stays on a node that is not ready or unreachable, unless it says; None leaves pods without.
    pub default_toleration_seconds: Option<u32>,

    // Of each of these, a quarter is for administrators and the system's own components. One user has a half of the rest at most,
    // one of the system's three quarters of all.
    /// Connections; beyond, new ones wait in the kernel.
    pub connections_max: usize,
    /// Requests that are worked on at once, watches and logs apart. Four times as many may be on their way here.
    pub requests_max: usize,
    /// What requests in flight may hold in memory: bodies as far as they have come, what is decoded of them, answers that are
    /// there as a whole.
    pub in_flight_bytes_max: usize,
    /// Watches, logs and tunnels open at once.
    pub streams_max: usize,
    /// How long a request may take, watches and logs apart.
    pub request_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long open requests may go on once the server stops.
    pub drain_timeout: Duration,
    /// How much of each kind's recent changes is kept in memory for watchers.
    pub history: cache::Limits,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    #[error("{0} must be greater than zero")]
    Zero(&'static str),
}

impl Options {
    pub fn new(listen: SocketAddr, tls: tls::Files) -> Options {
        Options {
            listen,
            tls,
            api_addresses: BTreeMap::new(),
            default_toleration_seconds: Some(300),
            connections_max: 10_000,
            requests_max: 800,
            in_flight_bytes_max: 256 << 20,
            streams_max: 20_000,
            request_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(5),
            history: cache::Limits { batches_max: 10_000, bytes_max: 8 << 20 },
        }
    }

    /// # Errors
    /// The first limit that nothing could live with.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (name, value) in [
            ("connections_max", self.connections_max),
            ("requests_max", self.requests_max),
            ("streams_max", self.streams_max),
            ("in_flight_bytes_max", self.in_flight_bytes_max),
            ("history.batches_max", self.history.batches_max),
            ("history.bytes_max", self.history.bytes_max),
        ] {
            if value == 0 {
                return Err(Invalid::Zero(name));
            }
        }
        for (name, value) in [("request_timeout", self.request_timeout), ("body_timeout", self.body_timeout)] {
            if value.is_zero() {
                return Err(Invalid::Zero(name));
            }
        }
        Ok(())
    }
}
