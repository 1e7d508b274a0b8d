//! Backups of this member's state.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Handle, read};
use crate::Error;
use crate::backup::Backup;

/// Blobs that wait for the network.
const QUEUE_MAX: usize = 8;

/// One piece of a backup; the last one is its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub blob: Vec<u8>,
    /// How many are to come after these, not counting the checksum.
    pub remaining_bytes: u64,
}

impl Handle {
    /// Everything that this member holds, in the format of [`crate::backup`], at the returned revision. Pins files on disk,
    /// no memory, while it is read.
    ///
    /// # Errors
    /// `TooManyRequests` when several are read already; `Storage` and `Internal` when the disk fails.
    pub async fn backup(&self) -> Result<(i64, ReceiverStream<Result<Piece, Error>>), Error> {
        let permit = Arc::clone(&self.member.backups).try_acquire_owned().map_err(|_| Error::TooManyRequests)?;
        let failed = |error: crate::backup::Error| Error::Internal(format!("a backup failed: {error}"));
        let (reader, identity) = (self.member.reader.clone(), self.member.identity);
        let scratch = self.member.options.data_dir.join("snapshots");
        let backup = read::blocking(move || Backup::new(&reader, identity, &scratch).map_err(failed)).await?;
        let revision = backup.revision();
        let (sender, pieces) = mpsc::channel(QUEUE_MAX);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let sent = backup.send(|blob| {
                let piece = Piece { blob: blob.bytes, remaining_bytes: blob.remaining };
                sender.blocking_send(Ok(piece)).map_err(|_| crate::backup::Error::Gone)
            });
            match sent {
                Ok(()) => {}
                Err(crate::backup::Error::Gone) => tracing::info!("the receiver of a backup went away"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a backup failed");
                    // Whoever asked may have gone.
                    drop(sender.blocking_send(Err(failed(error))));
                }
            }
        });
        Ok((revision, ReceiverStream::new(pieces)))
    }
}
