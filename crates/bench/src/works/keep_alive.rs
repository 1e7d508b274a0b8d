//! Leases that are kept alive, each over a stream of its own, as fast as the server answers.

use async_trait::async_trait;
use bytes::Bytes;
use keelson_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
    LeaseRevokeResponse,
};
use prost::Message as _;

use super::LEASE_SECONDS;
use crate::driver::Work;
use crate::figure::{Bound, Figure, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Failure, Method, Stream, frame};

/// Lease keep-alives, as fast as they are answered.
#[derive(Clone, Debug, clap::Args)]
pub struct KeepAlive {
    /// How many streams, each with a lease of its own.
    #[arg(long, default_value_t = 300)]
    pub streams: usize,
}

#[async_trait(?Send)]
impl Work for KeepAlive {
    fn title(&self) -> String {
        format!("lease keep-alive, {} streams", self.streams)
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: RATE, bound: Bound::RatioAtLeast(1.2), etcd_alone: "61,800/s", limit: "" }]
    }

    fn has_limit(&self) -> bool {
        true
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let mut connections = load::connect(side, self.streams).await?;
        let mut clients = Vec::new();
        for (connection, id) in connections.iter_mut().zip(1..) {
            let grant = LeaseGrantRequest { id, ttl: LEASE_SECONDS };
            let _: LeaseGrantResponse = connection.ask(Method::LeaseGrant, &grant).await?;
            let request = frame(&LeaseKeepAliveRequest { id });
            let mut stream = connection.stream(Method::LeaseKeepAlive, request.clone())?;
            check(&mut stream, id).await?;
            clients.push(Keeping { stream, request, id });
        }
        let tally = load::run_clients(clients, options.window()).await?;
        for (connection, id) in connections.iter_mut().zip(1..) {
            let _: LeaseRevokeResponse = connection.ask(Method::LeaseRevoke, &LeaseRevokeRequest { id }).await?;
        }
        Ok(of_load(&tally))
    }
}

struct Keeping {
    stream: Stream,
    request: Bytes,
    id: i64,
}

impl Client for Keeping {
    async fn step(&mut self) -> Result<(), Failure> {
        self.stream.send(self.request.clone())?;
        check(&mut self.stream, self.id).await
    }
}

/// Takes one answer, which must say that this lease lives.
async fn check(stream: &mut Stream, id: i64) -> Result<(), Failure> {
    let answer = stream.next().await?.ok_or(Failure::Answer("the stream ended"))?;
    let answer = LeaseKeepAliveResponse::decode(answer)?;
    if answer.id == id && answer.ttl > 0 { Ok(()) } else { Err(Failure::Answer("the lease is gone")) }
}
