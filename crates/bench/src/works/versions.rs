//! What a read of a key with a long history costs beside one of a key without.

use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};

use super::read::read;
use super::{VALUE_BYTES, fill, keys};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Target, milliseconds};
use crate::load::{self, Client, Tally, Window};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method, frame};

/// The key with the history, and the one without.
pub const LONG: &str = "/bench/versions/many";
const SHORT: &str = "/bench/versions/one";
/// Puts in flight while the versions are made.
const IN_FLIGHT: usize = 100;

/// Reads of a key with a long history beside those of a key without.
#[derive(Clone, Debug, clap::Args)]
pub struct Versions {
    /// How long the history is.
    #[arg(long, default_value_t = 10_000)]
    pub versions: usize,
    /// How many clients, each with one request in flight.
    #[arg(long, default_value_t = 10)]
    pub clients: usize,
}

impl Versions {
    async fn measure(&self, side: &Side, key: &'static str, window: Window) -> anyhow::Result<Tally> {
        let request = frame(&RangeRequest { key: key.into(), ..RangeRequest::default() });
        let connections = load::connect(side, self.clients).await?;
        let clients = connections.into_iter().map(|connection| Reading { connection, request: request.clone() });
        load::run_clients(clients, window).await
    }
}

fn put(key: &'static str) -> Bytes {
    let value = keys::value(&mut keys::random(0), VALUE_BYTES);
    frame(&PutRequest { key: key.into(), value, ..PutRequest::default() })
}

#[async_trait(?Send)]
impl Work for Versions {
    fn title(&self) -> String {
        format!(
            "linearizable reads of a key with {} versions and of one with 1, {} clients",
            self.versions, self.clients
        )
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: "many by one", bound: Bound::AtMost(1.5), etcd_alone: "", limit: "" }]
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        let (long, short) = (put(LONG), put(SHORT));
        fill::all(side, Method::Put, self.versions, IN_FLIGHT, Rc::new(move |_| long.clone())).await?;
        fill::all(side, Method::Put, 1, 1, Rc::new(move |_| short.clone())).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let half = options.window().part(2);
        let one = self.measure(side, SHORT, half).await?;
        let many = self.measure(side, LONG, half).await?;
        Ok(vec![
            Figure::lower("p50 of one", "ms", milliseconds(&one.latencies, 0.5)),
            Figure::lower("p50 of many", "ms", milliseconds(&many.latencies, 0.5)),
            Figure::lower("p99 of one", "ms", milliseconds(&one.latencies, 0.99)),
            Figure::lower("p99 of many", "ms", milliseconds(&many.latencies, 0.99)),
            // In a closed loop the rate is the reciprocal of the mean time.
            Figure::lower("many by one", "×", one.per_second() / many.per_second()),
            Figure::lower("errors", "", (one.errors + many.errors) as f64),
        ])
    }
}

struct Reading {
    connection: Connection,
    request: Bytes,
}

impl Client for Reading {
    async fn step(&mut self) -> Result<(), Failure> {
        read(&mut self.connection, self.request.clone()).await
    }
}
