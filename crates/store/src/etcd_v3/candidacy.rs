//! Who is first under a name, for elections and locks: candidates queue by the creation revisions of their keys.
//!
//! A candidate is a key `<name>/<lease in hex>` that lives as long as its lease. Each waits for the one right before it to
//! go, so that a handover wakes one of them. **Invariant**: nobody is told to be first whose own key was not there after
//! all earlier ones had gone; a lease may end while its candidate waits.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::response_op::Response as Answer;
use keelson_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};
use keelson_proto::mvccpb::KeyValue;
use tokio::sync::OwnedSemaphorePermit;

use super::front::Front;
use super::guard::Caller;
use crate::watch::{self, Item, Watcher};
use crate::{Error, machine};

/// The time to live of a lease that is made for a caller who brings none, as in etcd.
const OWN_LEASE_SECONDS: i64 = 60;
/// Events that are kept for one who waits for a deletion: the deletion alone matters.
const BUFFERED_BYTES_MAX: usize = 1 << 10;

/// Why a candidate is not first.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// Its key is gone, by the end of its lease most likely.
    #[error("the candidate's key is gone")]
    Expired,
    #[error(transparent)]
    Store(#[from] Error),
}

/// A place in the queue. Dropped before [`Candidacy::keep`], it is given up: the caller went away or was refused. A place that
/// was there before is left to whoever has made it.
pub(super) struct Candidacy {
    caller: Arc<Caller>,
    pub(super) key: Bytes,
    /// The creation revision of the key.
    pub(super) revision: i64,
    pub(super) lease: i64,
    prefix: Bytes,
    /// What the key held before, when it was there already.
    pub(super) held: Option<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
}

/// The prefix of all candidates' keys.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The candidates, oldest or youngest first.
pub(super) fn candidates(prefix: &Bytes, order: SortOrder) -> RangeRequest {
    RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        sort_order: order.into(),
        sort_target: SortTarget::Create.into(),
        limit: 1,
        ..RangeRequest::default()
    }
}

/// The end of the range of keys that start with `prefix`, which ends with a slash.
pub(super) fn prefix_end(prefix: &Bytes) -> Bytes {
    let (_, name) = prefix.split_last().unwrap_or((&0, &[]));
    [name, b"0"].concat().into()
}

/// Does `operations` if the key still is the one that was created at `revision`.
pub(super) async fn if_created_at(
    caller: &Caller,
    key: &Bytes,
    revision: i64,
    operations: Op,
    otherwise: Option<Op>,
) -> Result<TxnResponse, Error> {
    let operation = |request| RequestOp { request: Some(request) };
    let request = TxnRequest {
        compare: vec![Compare {
            key: key.clone(),
            target: CompareTarget::Create.into(),
            result: CompareResult::Equal.into(),
            target_union: Some(TargetUnion::CreateRevision(revision)),
            ..Compare::default()
        }],
        success: vec![operation(operations)],
        failure: otherwise.map(operation).into_iter().collect(),
    };
    caller.txn(request).await
}

/// The lease that was brought, or a new one.
pub(super) async fn lease_or_new(caller: &Caller, lease: i64) -> Result<i64, Error> {
    match lease {
        0 => Ok(caller.lease_grant(LeaseGrantRequest { ttl: OWN_LEASE_SECONDS, id: 0 }).await?.id),
        lease => Ok(lease),
    }
}

impl Candidacy {
    /// Joins the queue of `name`, or finds the place that the same lease has in it already.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when too many wait; those of a write, [`Error::LeaseNotFound`] among them.
    pub(super) async fn join(
        front: &Front,
        caller: Arc<Caller>,
        name: &[u8],
        lease: i64,
        value: Bytes,
    ) -> Result<Self, Error> {
        let permit = front.waiters.clone().try_acquire_owned().map_err(|_| Error::TooManyRequests)?;
        let lease = lease_or_new(&caller, lease).await?;
        let prefix = prefix(name);
        let key = Bytes::from([&prefix[..], format!("{lease:x}").as_bytes()].concat());
        // Whoever goes away while this is under way leaves nothing behind but what ends with the lease.
        let put = Op::RequestPut(PutRequest { key: key.clone(), value, lease, ..PutRequest::default() });
        let get = Op::RequestRange(RangeRequest { key: key.clone(), ..RangeRequest::default() });
        let response = if_created_at(&caller, &key, 0, put, Some(get)).await?;
        let (revision, held) = if response.succeeded {
            (response.header.map_or(0, |header| header.revision), None)
        } else {
            let found = first_pair(response).ok_or_else(|| Error::Internal("a candidate without a key".to_owned()))?;
            (found.create_revision, Some(found.value))
        };
        Ok(Self { caller, key, revision, lease, prefix, held, permit: Some(permit) })
    }

    /// Waits until all who came before have gone, and then makes sure that this one has not. Gives the revision at which
    /// it was so.
    ///
    /// # Errors
    /// [`Lost`]; what `stop` completes with.
    pub(super) async fn wait(&self, mut stop: BoxFuture<'static, Error>) -> Result<i64, Lost> {
        while let Some((predecessor, revision)) = self.predecessor().await? {
            let mut gone = self.deletions(predecessor, revision + 1).await?;
            let mut lost = self.deletions(self.key.clone(), self.check().await? + 1).await?;
            // Either may also end by a compaction. A fresh look tells what happened.
            tokio::select! {
                ended = next_deletion(&mut gone) => ended?,
                ended = next_deletion(&mut lost) => ended?,
                error = &mut stop => return Err(error.into()),
            }
        }
        self.check().await
    }

    /// Lets the key stay.
    pub(super) fn keep(mut self) {
        self.permit = None;
    }

    async fn predecessor(&self) -> Result<Option<(Bytes, i64)>, Error> {
        let request = RangeRequest {
            max_create_revision: self.revision - 1,
            keys_only: true,
            ..candidates(&self.prefix, SortOrder::Descend)
        };
        let response = self.caller.range(request).await?;
        let revision = response.header.map_or(0, |header| header.revision);
        Ok(response.kvs.into_iter().next().map(|pair| (pair.key, revision)))
    }

    /// # Errors
    /// [`Lost::Expired`] when the key is not there any more.
    async fn check(&self) -> Result<i64, Lost> {
        let request = RangeRequest { key: self.key.clone(), keys_only: true, ..RangeRequest::default() };
        let response: RangeResponse = self.caller.range(request).await?;
        match response.kvs.first() {
            Some(pair) if pair.create_revision == self.revision => {
                Ok(response.header.map_or(0, |header| header.revision))
            }
            _ => Err(Lost::Expired),
        }
    }

    /// A deletion tells no more than the range that follows it, and that is checked.
    async fn deletions(&self, key: Bytes, start_revision: i64) -> Result<Watcher, Error> {
        let options = watch::Options {
            key,
            range_end: Bytes::new(),
            start_revision,
            prev_kv: false,
            no_put: true,
            no_delete: false,
            max_buffered_bytes: BUFFERED_BYTES_MAX,
        };
        let (watcher, _) = self.caller.watch(options).await?;
        Ok(watcher)
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        // Those who wait and those who clean up count alike, so that the latter are bounded, too.
        let Some(permit) = self.permit.take() else { return };
        if self.held.is_some() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (caller, key, revision) = (Arc::clone(&self.caller), self.key.clone(), self.revision);
        machine::spawn(async move {
            let delete = Op::RequestDeleteRange(DeleteRangeRequest { key: key.clone(), ..Default::default() });
            if let Err(error) = if_created_at(&caller, &key, revision, delete, None).await {
                // It goes with its lease.
                tracing::debug!(%error, "the key of a candidate that went away stays");
            }
            drop(permit);
        });
    }
}

/// Completes with a deletion, or when only a fresh look can tell.
async fn next_deletion(watcher: &mut Watcher) -> Result<(), Error> {
    match watcher.next().await {
        Some(Item::Events { .. } | Item::Progress { .. } | Item::Compacted { .. }) => Ok(()),
        None => Err(Error::Stopped),
    }
}

fn first_pair(response: TxnResponse) -> Option<KeyValue> {
    match response.responses.into_iter().next()?.response? {
        Answer::ResponseRange(range) => range.kvs.into_iter().next(),
        _ => None,
    }
}
