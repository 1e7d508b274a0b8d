//! Puts by clients that have one request in flight each.

use std::rc::Rc;

use async_trait::async_trait;

use super::VALUE_BYTES;
use super::keys::{self, Walk};
use crate::driver::Work;
use crate::figure::{Bound, Figure, P99, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method};

/// Puts of one size by so many clients over all members.
#[derive(Clone, Debug)]
pub struct Put {
    pub clients: usize,
    pub value_bytes: usize,
}

#[async_trait(?Send)]
impl Work for Put {
    fn title(&self) -> String {
        let clients = if self.clients == 1 { "1 client".to_owned() } else { format!("{} clients", self.clients) };
        format!("put, {} B, {clients}", self.value_bytes)
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
        let pool = keys::puts("/bench/put/", self.value_bytes);
        let connections = load::connect(side, self.clients).await?;
        let clients = (connections.into_iter().enumerate())
            .map(|(client, connection)| Putting { connection, walk: Walk::new(Rc::clone(&pool), client) });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

/// One client that puts.
pub struct Putting {
    pub connection: Connection,
    pub walk: Walk,
}

impl Client for Putting {
    async fn step(&mut self) -> Result<(), Failure> {
        self.connection.call(Method::Put, self.walk.next()).await?;
        Ok(())
    }
}
