//! Writes in batches: many small writes in one log entry, each by itself only when the batch is refused because of one.

use keelson_client::{Client, Error, Operation};

/// Operations of one batch. At some KiB a status this stays far below what one log entry may hold.
pub const BATCH_MAX: usize = 500;

/// Writes all the operations. The result of each is in its place.
pub async fn write(client: &Client, operations: Vec<Operation>) -> Vec<Result<(), Error>> {
    let mut results = Vec::with_capacity(operations.len());
    for batch in operations.chunks(BATCH_MAX) {
        if batch.len() > 1 && client.write(batch.to_vec()).await.is_ok() {
            results.extend(batch.iter().map(|_| Ok(())));
            continue;
        }
        for operation in batch {
            results.push(client.write(vec![operation.clone()]).await.map(drop));
        }
    }
    results
}
