//! A load of puts that speaks etcd v3, so that it drives etcd and Keelson alike.

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use keelson_proto::etcdserverpb::PutRequest;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

/// Clients that share one connection: as many as a typical program keeps in flight on one.
const CLIENTS_PER_CONNECTION: usize = 10;
/// How many different keys are written.
const KEYS: u64 = 100_000;

/// What to do.
#[derive(Clone, Debug)]
pub struct Puts {
    /// Clients, each with one request in flight, spread over all the endpoints.
    pub clients: usize,
    /// Size of a value.
    pub value_bytes: usize,
    /// How long to measure.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub errors: u64,
}

impl Puts {
    /// Runs the load against `endpoints`.
    pub async fn run(&self, endpoints: &[String]) -> anyhow::Result<Outcome> {
        let mut connections = Vec::new();
        for index in 0..self.clients.div_ceil(CLIENTS_PER_CONNECTION).max(endpoints.len().min(self.clients)) {
            connections.push(connect(&endpoints[index % endpoints.len()]).await?);
        }
        let started = Instant::now();
        let until = started + self.duration;
        let mut clients = JoinSet::new();
        for index in 0..self.clients {
            let client = KvClient::new(connections[index % connections.len()].clone());
            clients.spawn(one_client(client, index as u64, self.value_bytes, until));
        }
        let mut latencies = histogram()?;
        let mut errors = 0;
        while let Some(done) = clients.join_next().await {
            let (own, own_errors) = done.context("a client panicked")??;
            latencies.add(own)?;
            errors += own_errors;
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok(Outcome {
            per_second: latencies.len() as f64 / seconds,
            p50: Duration::from_micros(latencies.value_at_quantile(0.5)),
            p99: Duration::from_micros(latencies.value_at_quantile(0.99)),
            errors,
        })
    }
}

async fn one_client(
    mut client: KvClient<Channel>,
    seed: u64,
    value_bytes: usize,
    until: Instant,
) -> anyhow::Result<(Histogram<u64>, u64)> {
    let mut latencies = histogram()?;
    let mut errors = 0;
    let value = vec![b'v'; value_bytes];
    // A Weyl sequence: well spread, cheap, and the same for both peers.
    let mut step = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while Instant::now() < until {
        step = step.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let request = PutRequest {
            key: format!("/bench/{:08}", step % KEYS).into(),
            value: value.clone().into(),
            ..PutRequest::default()
        };
        let sent = Instant::now();
        match client.put(request).await {
            Ok(_) => latencies.record(sent.elapsed().as_micros() as u64)?,
            Err(_) => errors += 1,
        }
    }
    Ok((latencies, errors))
}

/// From 1 µs to a minute, three digits.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// One connection without Nagle's delay.
pub async fn connect(endpoint: &str) -> anyhow::Result<Channel> {
    let endpoint =
        Endpoint::from_shared(endpoint.to_owned())?.tcp_nodelay(true).connect_timeout(Duration::from_secs(5));
    endpoint.connect().await.context("cannot connect")
}
