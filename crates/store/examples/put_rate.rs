//! How many puts per second three members in one process take, over real TCP, TLS and disks.
//!
//! `cargo run -p keelson-store --example put_rate -- [seconds] [folder]`

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Cluster;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use keelson_store::Handle;

const VALUE_BYTES: usize = 256;
const KEYS: usize = 100_000;

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

async fn run(handle: Handle, tasks: usize, length: Duration, read: bool) -> Vec<Duration> {
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..tasks)
        .map(|task| {
            let (handle, over) = (handle.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut i = task;
                while !over.load(Ordering::Relaxed) {
                    let key = format!("key-{:08}", i % KEYS).into();
                    let started = Instant::now();
                    if read {
                        handle.range(RangeRequest { key, ..RangeRequest::default() }).await.expect("reads");
                    } else {
                        let value = vec![b'x'; VALUE_BYTES].into();
                        handle.put(PutRequest { key, value, ..PutRequest::default() }).await.expect("puts");
                    }
                    times.push(started.elapsed());
                    i += tasks;
                }
                times
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("a client"));
    }
    times.sort_unstable();
    times
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let length = Duration::from_secs(seconds);
    let cluster = Cluster::start(3);
    for (place, member) in [("leader", cluster.leader()), ("follower", cluster.follower())] {
        for (what, read) in [("puts", false), ("linearizable reads", true)] {
            for tasks in [1, 100, 1000] {
                let times = cluster.on(member, run(cluster.handle(member), tasks, length, read));
                println!(
                    "{place:8} {tasks:4} tasks: {:7.0} {what}/s, p50 {:?}, p99 {:?}",
                    times.len() as f64 / length.as_secs_f64(),
                    percentile(&times, 0.5),
                    percentile(&times, 0.99),
                );
            }
        }
    }
}
