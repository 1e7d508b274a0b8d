//! Puts by clients that have one request in flight each.

use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use super::VALUE_BYTES;
use super::keys::{self, Walk};
use crate::driver::Work;
use crate::figure::{Bound, Figure, P99, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method};

/// Puts of one size by so many clients over all members.
pub struct Put {
    clients: usize,
    value_bytes: usize,
    pool: Rc<[Bytes]>,
}

impl Put {
    pub fn new(clients: usize, value_bytes: usize) -> Self {
        Self { clients, value_bytes, pool: keys::puts("/bench/put/", value_bytes) }
    }
}

#[async_trait(?Send)]
impl Work for Put {
    fn title(&self) -> String {
        format!("put, {} B, {} clients", self.value_bytes, self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        let targets = |rate, rate_alone, limit, p99_alone| {
            vec![
                Target { figure: RATE, bound: Bound::RatioAtLeast(rate), etcd_alone: rate_alone, limit },
                Target { figure: P99, bound: Bound::RatioAtMost(1.0), etcd_alone: p99_alone, limit: "" },
            ]
        };
        match (self.value_bytes, self.clients) {
            (VALUE_BYTES, 1) => targets(1.0, "2,400/s", "fsync", ""),
            (VALUE_BYTES, 100) => targets(2.0, "14,400/s", "4.2×", "19 ms"),
            (VALUE_BYTES, 1_000) => targets(2.0, "22,300/s", "2.6×", "103 ms"),
            _ => Vec::new(),
        }
    }

    fn has_limit(&self) -> bool {
        true
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let connections = load::connect(side, self.clients).await?;
        let clients = (connections.into_iter().enumerate())
            .map(|(client, connection)| Putting { connection, walk: Walk::new(Rc::clone(&self.pool), client) });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

struct Putting {
    connection: Connection,
    walk: Walk,
}

impl Client for Putting {
    async fn step(&mut self) -> Result<(), Failure> {
        self.connection.call(Method::Put, self.walk.next()).await?;
        Ok(())
    }
}
