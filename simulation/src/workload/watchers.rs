//! Watchers of everything: some quick, some slow, each going on at another member when its own goes away.

use std::time::Duration;

use keelson_proto::mvccpb::event::EventType;
use keelson_store::watch::{Item, Options};
use tokio::task::JoinHandle;

use super::leases::PREFIX;
use super::{Client, ask};
use crate::mutant::Mutant;

/// When no member can be asked.
const PAUSE: Duration = Duration::from_millis(100);
/// Items of 10,000 that a mutant loses or doubles.
const WRONG: u32 = 100;

/// Starts all. They run until they are aborted.
pub fn start(client: &Client, seed: u64) -> Vec<JoinHandle<()>> {
    (0..3).map(|watcher| tokio::spawn(run(client.of(seed, &format!("watcher {watcher}")), watcher))).collect()
}

async fn run(client: Client, watcher: usize) {
    loop {
        let Some(member) = client.member() else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let start_revision = client.invariants.watches.next(watcher);
        client.trace.line(format_args!("watcher {watcher} watches from {start_revision} at member {member}"));
        let reader = client.clone();
        // Ends with the member, or when it was long enough.
        let watch = ask(&client, member, move |handle| async move {
            let mut running = handle.watch(Options {
                key: b"\0".as_slice().into(),
                range_end: b"\0".as_slice().into(),
                start_revision,
                prev_kv: false,
                no_put: false,
                no_delete: false,
                max_buffered_bytes: 1 << reader.random.number(9..=16),
            });
            drop(handle);
            let slow_ms = if reader.random.chance(3000) { 300 } else { 0 };
            loop {
                if reader.random.chance(1000) {
                    running.request_progress();
                }
                let Some(item) = running.next().await else { return };
                let ends = matches!(item, Item::Compacted { .. });
                hand(&reader, watcher, item);
                if ends {
                    return;
                }
                if !reader.stop.is_cancelled() {
                    tokio::time::sleep(reader.random.millis(0..=slow_ms)).await;
                }
            }
        });
        watch.await;
        tokio::time::sleep(client.random.millis(0..=100)).await;
    }
}

fn hand(client: &Client, watcher: usize, item: Item) {
    let (mut lost, mut doubled) = (false, false);
    match &item {
        Item::Events { revision, events } => {
            client.trace.line(format_args!("watcher {watcher} is handed {} events of {revision}", events.len()));
            lost = client.mutant == Some(Mutant::DroppedWatchEvent) && client.random.chance(WRONG);
            doubled = client.mutant == Some(Mutant::DoubledWatchEvent) && client.random.chance(WRONG);
            for event in events.iter().filter(|event| event.r#type() == EventType::Delete) {
                let key = event.kv.as_ref().map(|pair| String::from_utf8_lossy(&pair.key).into_owned());
                let id = key.and_then(|key| key.strip_prefix(PREFIX)?.parse().ok());
                if let Some(id) = id {
                    client.invariants.leases.ended(id);
                }
            }
        }
        Item::Progress { .. } | Item::Compacted { .. } => {
            client.trace.line(format_args!("watcher {watcher} is handed {item:?}"));
        }
    }
    if doubled {
        client.invariants.watches.handed(watcher, item.clone());
    }
    if !lost {
        client.invariants.watches.handed(watcher, item);
    }
}
