//! One write to four linearizable reads, over the same keys.

use std::rc::Rc;

use async_trait::async_trait;

use super::keys::{self, KEYS, Walk};
use super::read::read;
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, Figure, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method};

/// Where the keys are.
const PREFIX: &str = "/bench/mixed/";
/// Of so many requests, one is a write.
const REQUESTS_PER_WRITE: usize = 5;

/// One write to four linearizable reads, over all members.
#[derive(Clone, Debug, clap::Args)]
pub struct Mixed {
    /// How many clients, each with one request in flight.
    #[arg(long, default_value_t = 300)]
    pub clients: usize,
}

#[async_trait(?Send)]
impl Work for Mixed {
    fn title(&self) -> String {
        format!("1 write to {} linearizable reads, {VALUE_BYTES} B, {} clients", REQUESTS_PER_WRITE - 1, self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: RATE, bound: Bound::RatioAtLeast(1.7), etcd_alone: "23,600/s", limit: "2.5×" }]
    }

    fn has_limit(&self) -> bool {
        true
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        fill::keys(side, PREFIX, KEYS, VALUE_BYTES).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let (puts, reads) = (keys::puts(PREFIX, VALUE_BYTES), keys::reads(PREFIX, KEYS, false));
        let connections = load::connect(side, self.clients).await?;
        let clients = connections.into_iter().enumerate().map(|(client, connection)| Mixing {
            connection,
            puts: Walk::new(Rc::clone(&puts), client),
            reads: Walk::new(Rc::clone(&reads), client),
            // Not all at once.
            turn: client,
        });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

struct Mixing {
    connection: Connection,
    puts: Walk,
    reads: Walk,
    turn: usize,
}

impl Client for Mixing {
    async fn step(&mut self) -> Result<(), Failure> {
        self.turn += 1;
        if self.turn.is_multiple_of(REQUESTS_PER_WRITE) {
            self.connection.call(Method::Put, self.puts.next()).await?;
            return Ok(());
        }
        read(&mut self.connection, self.reads.next()).await
    }
}
