//! What every etcd service shares: the store's handle, the header of answers, and the checks that come before any request.
//!
//! All services are implemented on this one type, each in its own file.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use keelson_proto::etcdserverpb::{RangeRequest, ResponseHeader};
use keelson_types::Leadership;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use super::led;
use super::range::Lists;
use super::status_code::INVALID_CLIENT_VERSION;
use crate::{Error, Handle, validate};

/// The etcd services over one member's store. Cheap to clone: streams take a clone along.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) handle: Handle,
    pub(super) leadership: watch::Receiver<Leadership>,
    /// See [`led`].
    led: watch::Receiver<bool>,
    /// Ends the streams, which would never end by themselves.
    pub(super) shutdown: CancellationToken,
    pub(super) limits: Limits,
    pub(super) lists: Lists,
    /// Room for those who wait for a lock or to be elected.
    pub(super) waiters: Arc<Semaphore>,
    cluster_id: u64,
    member_id: u64,
}

/// Bounds and intervals of the etcd front.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request, in bytes. gRPC messages may be larger by [`GRPC_OVERHEAD_BYTES`]. Fragments of watch answers
    /// are cut at the sum, too.
    pub request_bytes_max: usize,
    /// Operations in one transaction, nested ones included. The store itself may take more, for the API's batches.
    pub txn_ops_max: usize,
    /// How often a watch that asked for it, and that had no events meanwhile, is told how far it is; with up to a tenth
    /// more, so that watches that began together do not report together.
    pub progress_interval: Duration,
    /// How long a stream that requires a leader lives on without one.
    pub no_leader_tolerance: Duration,
    /// Connections that are served at one time; more wait to be accepted.
    pub connections_max: usize,
    /// Requests and streams under way on one connection. etcd has no bound; benchmarks put a thousand clients on one
    /// connection.
    pub streams_max: u32,
    /// Bytes of range answers that are held in memory while they are sent, over all clients. Answers below 64 KiB do not
    /// count.
    pub lists_bytes_max: usize,
    /// How long a range waits for its part of `lists_bytes_max` before it is refused with "too many requests".
    pub list_wait: Duration,
    /// How long a client may leave a part of a range's answer, or of a snapshot, untaken before that is given up, and with it
    /// what it keeps from being removed on disk.
    pub list_stall: Duration,
    /// Callers that wait for a lock or to be elected at one time.
    pub waiters_max: usize,
}

/// What a gRPC message may be larger than the largest request.
pub const GRPC_OVERHEAD_BYTES: usize = 512 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 3 << 19, // 1.5 MiB, as etcd
            txn_ops_max: validate::TXN_OPS_MAX,
            progress_interval: Duration::from_secs(600),
            // Three election timeouts, as etcd.
            no_leader_tolerance: Duration::from_millis(1800),
            // 64 KiB of HTTP/2 windows and buffers each stays under 1 GiB.
            connections_max: 10_000,
            streams_max: 4096,
            lists_bytes_max: 256 << 20,
            list_wait: Duration::from_secs(2),
            list_stall: Duration::from_secs(30),
            waiters_max: 10_000,
        }
    }
}

impl Front {
    /// Refuses a write that is larger than etcd takes.
    pub(super) fn check_size(&self, request: &impl prost::Message) -> Result<(), Error> {
        if request.encoded_len() > self.limits.request_bytes_max { Err(Error::TooLarge) } else { Ok(()) }
    }

    pub(super) fn new(handle: Handle, limits: Limits, led: watch::Receiver<bool>, shutdown: CancellationToken) -> Self {
        let leadership = handle.leadership();
        let (cluster_id, member_id) = (handle.cluster_id(), handle.member_id());
        let lists = Lists::new(&limits);
        let waiters = Arc::new(Semaphore::new(limits.waiters_max));
        Self { handle, leadership, led, shutdown, limits, lists, waiters, cluster_id, member_id }
    }

    /// The largest gRPC message.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.limits.request_bytes_max.saturating_add(GRPC_OVERHEAD_BYTES)
    }

    /// Refuses a request that requires a leader while this member knows none, and one of a client whose version is no text.
    pub(super) fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let version = metadata.get("client-api-version").map(AsciiMetadataValue::as_bytes);
        if version.is_some_and(|version| std::str::from_utf8(version).is_err()) {
            return Err(Status::invalid_argument(INVALID_CLIENT_VERSION));
        }
        if requires_leader(metadata) && !*self.led.borrow() {
            return Err(Error::NoLeader.into());
        }
        Ok(())
    }

    /// Refuses a read that a learner cannot answer from what it has.
    pub(super) fn serves(&self, request: &RangeRequest) -> Result<(), Error> {
        if !request.serializable && self.handle.is_learner() { Err(Error::Learner) } else { Ok(()) }
    }

    /// The header of an answer at `revision`.
    pub(super) fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision,
            raft_term: self.leadership.borrow().term,
        }
    }

    /// Adds what only the serving member knows to the header that applying or reading left.
    pub(super) fn complete(&self, header: &mut Option<ResponseHeader>) {
        let revision = match header.as_ref().map_or(0, |header| header.revision) {
            0 => self.handle.revision(),
            revision => revision,
        };
        *header = Some(self.header(revision));
    }

    /// Completes with the reason when a stream must end: the member stops, or there is no leader for longer than
    /// tolerated on a stream that requires one.
    pub(super) fn stop(&self, metadata: &MetadataMap) -> BoxFuture<'static, Error> {
        let shutdown = self.shutdown.clone();
        if !requires_leader(metadata) {
            return Box::pin(async move {
                shutdown.cancelled_owned().await;
                Error::Stopped
            });
        }
        let lost = led::lost(self.led.clone(), self.limits.no_leader_tolerance);
        Box::pin(async move {
            tokio::select! {
                () = shutdown.cancelled_owned() => Error::Stopped,
                () = lost => Error::NoLeader,
            }
        })
    }
}

/// Whether the client asked to be refused rather than to wait while there is no leader.
fn requires_leader(metadata: &MetadataMap) -> bool {
    metadata.get("hasleader").is_some_and(|value| value.as_bytes() == b"true")
}
