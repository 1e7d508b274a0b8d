//! Reads of single keys, linearizable or serializable.

use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use super::keys::{self, KEYS, Walk};
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, Figure, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method};

/// Where the keys are.
const PREFIX: &str = "/bench/read/";

/// Reads of single keys over all members.
#[derive(Clone, Debug, clap::Args)]
pub struct Read {
    /// How many clients, each with one request in flight.
    #[arg(long, default_value_t = 300)]
    pub clients: usize,
    /// From each member's own state, instead of linearizable.
    #[arg(long)]
    pub serializable: bool,
}

#[async_trait(?Send)]
impl Work for Read {
    fn title(&self) -> String {
        let which = if self.serializable { "serializable" } else { "linearizable" };
        format!("{which} point reads, {VALUE_BYTES} B, {} clients", self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        let (ratio, etcd_alone, limit) =
            if self.serializable { (1.2, "46,700/s", "1.3×") } else { (1.3, "37,800/s", "1.6×") };
        vec![Target { figure: RATE, bound: Bound::RatioAtLeast(ratio), etcd_alone, limit }]
    }

    fn has_limit(&self) -> bool {
        true
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        fill::keys(side, PREFIX, KEYS, VALUE_BYTES).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let pool = keys::reads(PREFIX, KEYS, self.serializable);
        let connections = load::connect(side, self.clients).await?;
        let clients = (connections.into_iter().enumerate())
            .map(|(client, connection)| Reading { connection, walk: Walk::new(Rc::clone(&pool), client) });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

struct Reading {
    connection: Connection,
    walk: Walk,
}

impl Client for Reading {
    async fn step(&mut self) -> Result<(), Failure> {
        read(&mut self.connection, self.walk.next()).await
    }
}

/// Reads a key that must be there.
pub async fn read(connection: &mut Connection, request: Bytes) -> Result<(), Failure> {
    let answer = connection.call(Method::Range, request).await?;
    // Without decoding it: an answer with the key is longer than the value alone.
    if answer.len() > VALUE_BYTES { Ok(()) } else { Err(Failure::Answer("the key is missing")) }
}
