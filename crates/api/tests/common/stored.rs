//! Waiting for what the store is to hold, by a watch of it.

use std::time::Duration;

use keelson_store::Handle;
use keelson_store::watch::{Item, Options};

/// Waits until `key` is written, however long ago; gives the revision of that.
///
/// # Panics
/// When that is not so within `patience`.
pub async fn written(store: &Handle, key: &'static str, patience: Duration) -> i64 {
    let mut watcher = store.watch(Options {
        key: key.into(),
        range_end: Vec::new().into(),
        start_revision: 1,
        prev_kv: false,
        no_put: false,
        no_delete: true,
        max_buffered_bytes: 1 << 20,
    });
    let put = async {
        loop {
            match watcher.next().await.expect("the store runs") {
                Item::Events { revision, .. } => return revision,
                Item::Progress { .. } => {}
                Item::Compacted { compact_revision } => panic!("{key} may have been written before {compact_revision}"),
            }
        }
    };
    tokio::time::timeout(patience, put).await.unwrap_or_else(|_| panic!("{key} is not written in time"))
}
