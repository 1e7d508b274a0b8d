//! Backups of this member's state.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
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
    /// no memory, while it is read. Ends with `Stalled` when a piece is not taken for [`crate::etcd_v3::Limits::list_stall`],
    /// so that nobody keeps those files, and the place of another backup, for ever.
    ///
    /// # Errors
    /// `TooManyRequests` when several are read already; `Storage` and `Internal` when the disk fails.
    pub async fn backup(&self) -> Result<(i64, BoxStream<'static, Result<Piece, Error>>), Error> {
        let permit = Arc::clone(&self.member.backups).try_acquire_owned().map_err(|_| Error::TooManyRequests)?;
        let failed = |error: crate::backup::Error| Error::Internal(format!("a backup failed: {error}"));
        let (reader, identity) = (self.member.reader.clone(), self.member.identity);
        let scratch = self.member.options.data_dir.join("snapshots");
        let backup = read::blocking(move || Backup::new(&reader, identity, &scratch).map_err(failed)).await?;
        let revision = backup.revision();
        let (sender, pieces) = mpsc::channel(QUEUE_MAX);
        // The outcome has a way of its own: the other one is full when nobody reads.
        let (ended, outcome) = oneshot::channel();
        let stall = self.member.options.etcd.list_stall;
        let runtime = runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let sent = backup.send(|blob| {
                let piece = Piece { blob: blob.bytes, remaining_bytes: blob.remaining };
                match runtime.block_on(sender.send_timeout(piece, stall)) {
                    Ok(()) => Ok(()),
                    Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(crate::backup::Error::Gone),
                    Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(crate::backup::Error::Stalled),
                }
            });
            let outcome = match sent {
                Ok(_) => Ok(()),
                Err(crate::backup::Error::Gone) => {
                    tracing::info!("the receiver of a backup went away");
                    return;
                }
                Err(crate::backup::Error::Stalled) => {
                    tracing::info!("the receiver of a backup did not read on");
                    Err(Error::Stalled)
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a backup failed");
                    Err(failed(error))
                }
            };
            // Whoever asked may have gone.
            drop(ended.send(outcome));
        });
        let end = stream::once(outcome).filter_map(async |outcome| match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(_) => Some(Err(Error::Internal("a backup ended without an outcome".to_owned()))),
        });
        Ok((revision, ReceiverStream::new(pieces).map(Ok).chain(end).boxed()))
    }
}
