//! Lists of a whole prefix, as an informer makes them when it starts.

use async_trait::async_trait;
use bytes::Bytes;
use keelson_proto::etcdserverpb::RangeRequest;

use super::{LIST_KEYS, LIST_VALUE_BYTES, fill, keys};
use crate::driver::Work;
use crate::figure::{Bound, Figure, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method, frame};

/// Where the keys are.
const PREFIX: &str = "/bench/list/";

/// Lists of 3,000 keys of 1 KiB, over all members.
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// How many clients, each with one request in flight.
    #[arg(long, default_value_t = 4)]
    pub clients: usize,
}

#[async_trait(?Send)]
impl Work for List {
    fn title(&self) -> String {
        format!("list of {LIST_KEYS} keys of {LIST_VALUE_BYTES} B, {} clients", self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: RATE, bound: Bound::RatioAtLeast(1.5), etcd_alone: "208/s", limit: "" }]
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        fill::keys(side, PREFIX, LIST_KEYS, LIST_VALUE_BYTES).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let request =
            frame(&RangeRequest { key: PREFIX.into(), range_end: keys::end_of(PREFIX), ..RangeRequest::default() });
        let connections = load::connect(side, self.clients).await?;
        let clients = connections.into_iter().map(|connection| Listing { connection, request: request.clone() });
        Ok(of_load(&load::run_clients(clients, options.window()).await?))
    }
}

struct Listing {
    connection: Connection,
    request: Bytes,
}

impl Client for Listing {
    async fn step(&mut self) -> Result<(), Failure> {
        let bytes = self.connection.call_for_length(Method::Range, self.request.clone()).await?;
        // Without decoding it: an answer with all the keys is longer than all the values.
        let whole = bytes > (LIST_KEYS * LIST_VALUE_BYTES) as u64;
        if whole { Ok(()) } else { Err(Failure::Answer("keys are missing")) }
    }
}
