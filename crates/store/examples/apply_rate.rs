//! Measures how fast one thread applies puts, and how fast ranges are read back. No network, no log, no fsync.
//!
//! ```text
//! cargo run -p keelson-store --example apply_rate [puts]
//! ```

use std::time::Instant;

use bytes::Bytes;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use keelson_proto::keelson::store::v1::{Batch, Command, command};
use keelson_store::state::{Entry, Options, Payload, State};

const VALUE_BYTES: usize = 256;
const PUTS_PER_ENTRY: usize = 100;
const KEYS: usize = 100_000;
const PAGE: i64 = 500;
const GETS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let puts: usize = std::env::args().nth(1).map_or(Ok(500_000), |count| count.parse())?;
    let folder = std::env::temp_dir().join(format!("keelson-apply-rate-{}", std::process::id()));
    let mut state = State::open(&folder, &Options::default())?;
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);

    let started = Instant::now();
    for (entry, index) in (0..puts / PUTS_PER_ENTRY).zip(1..) {
        let commands = (0..PUTS_PER_ENTRY).map(|put| put_command(entry * PUTS_PER_ENTRY + put, &value)).collect();
        let batch = Batch { commands, ..Batch::default() };
        state.apply(vec![Entry { index, term: 1, log_id: Bytes::new(), payload: Payload::Batch(batch) }])?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "apply: {puts} puts of {VALUE_BYTES} B over {KEYS} keys, {PUTS_PER_ENTRY} an entry: {:.0} puts/s",
        puts as f64 / seconds
    );

    let reader = state.reader();
    let started = Instant::now();
    let everything = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let found = reader.range(&everything)?.kvs.len();
    println!("range: all {found} keys at once: {:.0} keys/s", found as f64 / started.elapsed().as_secs_f64());

    let started = Instant::now();
    let request = RangeRequest { count_only: true, ..everything.clone() };
    let count = reader.range(&request)?.count;
    println!("count: {count} keys: {:.0} keys/s", count as f64 / started.elapsed().as_secs_f64());

    let started = Instant::now();
    let page = RangeRequest { key: key(0), range_end: key(PAGE as usize), ..RangeRequest::default() };
    let pages = 200;
    for _ in 0..pages {
        reader.range(&page)?;
    }
    println!("page: {PAGE} keys: {:.0} pages/s", f64::from(pages) / started.elapsed().as_secs_f64());

    let started = Instant::now();
    for get in 0..GETS {
        reader.range(&RangeRequest { key: key(scattered(get)), ..RangeRequest::default() })?;
    }
    println!("get: {:.0} single keys/s", GETS as f64 / started.elapsed().as_secs_f64());

    drop(state);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Visits keys far from each other, the same ones in every run.
fn scattered(step: usize) -> usize {
    step.wrapping_mul(7_919) % KEYS
}

fn key(number: usize) -> Bytes {
    Bytes::from(format!("/registry/pods/default/pod-{number:08}"))
}

fn put_command(step: usize, value: &Bytes) -> Command {
    let put = PutRequest { key: key(scattered(step)), value: value.clone(), ..PutRequest::default() };
    Command { command: Some(command::Command::Put(put)), ..Command::default() }
}
