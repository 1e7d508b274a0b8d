//! Reads and watches beside `apply`.
//!
//! A read first makes its iterators, which pin the files, and then checks that nothing it needs had been compacted away.

use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use keelson_proto::etcdserverpb::{
    HashKvResponse, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use keelson_proto::keelson::store::v1::ClusterState;
use tokio::sync::watch as watch_channel;

use super::cluster::Alarms;
use super::generation::{Figures, Generation};
use super::listing::Listing;
use super::meta::Position;
use super::page_counts::PageCounts;
use super::reclaim::Pass;
use super::{Applied, Error, checkpoint};
use crate::apply::read_txn;
use crate::auth::Gate;
use crate::lease::{Lease, table};
use crate::metrics::StateFigures;
use crate::mvcc::scan::Scan;
use crate::mvcc::span::Span;
use crate::mvcc::{hash, range};
use crate::watch::hub::Hub;
use crate::watch::{self, Watcher};

/// What readers, watchers and the state have in common.
pub(crate) struct Shared {
    /// None once the state is closed.
    generation: ArcSwapOption<Generation>,
    figures: ArcSwap<Figures>,
    hub: Hub,
    measured: StateFigures,
    auth: Arc<Gate>,
    page_counts: Arc<PageCounts>,
    /// The revision up to which the space of what is compacted is to be given back at once; 0 at first.
    reclaim: watch_channel::Sender<i64>,
}

impl Shared {
    pub(super) fn new(generation: Arc<Generation>) -> Self {
        Self {
            figures: ArcSwap::new(generation.figures.clone()),
            hub: Hub::new(generation.figures.revision()),
            measured: StateFigures::default(),
            auth: Arc::clone(&generation.auth),
            generation: ArcSwapOption::new(Some(generation)),
            page_counts: Arc::new(PageCounts::new()),
            reclaim: watch_channel::Sender::new(0),
        }
    }

    pub(crate) fn generation(&self) -> Result<Arc<Generation>, Error> {
        self.generation.load_full().ok_or(Error::Closed)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Asks for the space of what is compacted at `revision`.
    pub(super) fn want_reclaimed(&self, revision: i64) {
        self.reclaim.send_if_modified(|wanted| {
            let further = revision > *wanted;
            *wanted = revision.max(*wanted);
            further
        });
    }

    pub(super) fn measured(&self) -> &StateFigures {
        &self.measured
    }

    pub(super) fn replace(&self, generation: Arc<Generation>) {
        self.figures.store(generation.figures.clone());
        self.generation.store(Some(generation));
    }

    pub(super) fn close(&self) {
        self.generation.store(None);
        self.hub.close();
    }
}

/// Reads the state while another thread applies to it.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Answers a range from the local state. Blocks on the disk when the data is not cached.
    ///
    /// # Errors
    /// `Compacted` and `FutureRevision` for a revision that cannot be read; `Stopped`; `Storage`.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, crate::Error> {
        let generation = self.generation()?;
        let newest = generation.figures.revision();
        if request.revision > newest {
            return Err(crate::Error::FutureRevision { requested: request.revision, current: newest });
        }
        let span = Span::new(&request.key, &request.range_end);
        if request.revision <= 0 {
            return at_newest(&generation, |revision| {
                let scan = scan(&generation, span.clone(), revision)?;
                Ok((scan, revision))
            })
            .and_then(|(scan, revision)| Ok(range::execute(scan, request, revision)?));
        }
        let scan = scan(&generation, span, request.revision)?;
        let compacted = generation.figures.compacted();
        if request.revision < compacted {
            return Err(crate::Error::Compacted { requested: request.revision, compacted });
        }
        Ok(range::execute(scan, request, newest)?)
    }

    /// Begins to read a range in the order of its keys, piece by piece, all of it as of one revision.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub(crate) fn list(&self, request: RangeRequest, fill_cache: bool) -> Result<Listing, crate::Error> {
        let generation = self.generation()?;
        let newest = generation.figures.revision();
        if request.revision > newest {
            return Err(crate::Error::FutureRevision { requested: request.revision, current: newest });
        }
        let counts = || Arc::clone(&self.shared.page_counts);
        if request.revision <= 0 {
            let (listing, _) = at_newest(&generation, |revision| {
                let listing =
                    Listing::new(generation.clone(), request.clone(), revision, revision, fill_cache, counts())?;
                Ok((listing, revision))
            })?;
            return Ok(listing);
        }
        let revision = request.revision;
        let listing = Listing::new(generation.clone(), request, revision, newest, fill_cache, counts())?;
        let compacted = generation.figures.compacted();
        if revision < compacted {
            return Err(crate::Error::Compacted { requested: revision, compacted });
        }
        Ok(listing)
    }

    /// Answers a transaction that cannot write ([`crate::validate::txn_is_read_only`]) from the local state, all of it at
    /// one revision.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, crate::Error> {
        let generation = self.generation()?;
        let (response, revision) = at_newest(&generation, |revision| {
            let response = read_txn::execute(&generation, request, revision)?;
            Ok((response, revision))
        })?;
        response.map_err(|refusal| read_txn::error(refusal, revision, generation.figures.compacted()))
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.shared.figures.load().revision()
    }

    /// The newest revision whose events the watchers have been handed. Those who wait for a write are told after that.
    #[must_use]
    pub fn published(&self) -> i64 {
        self.shared.hub().published()
    }

    /// The compacted revision; 0 when never compacted.
    #[must_use]
    pub fn compacted(&self) -> i64 {
        self.shared.figures.load().compacted()
    }

    /// How far the log has been applied; nothing once the state is closed.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.shared.generation().map(|generation| generation.applied()).unwrap_or_default()
    }

    /// As [`super::State::flushed_index`].
    #[must_use]
    pub fn flushed_index(&self) -> u64 {
        self.shared.figures.load().flushed_index()
    }

    /// As [`super::State::flush`], beside `apply`.
    ///
    /// # Errors
    /// When the disk fails or the state is closed.
    pub fn flush(&self) -> Result<(), Error> {
        self.shared.generation()?.flush()
    }

    /// As [`super::State::checkpoint`], beside `apply`.
    ///
    /// # Errors
    /// When the disk fails, `dir` exists or the state is closed.
    pub fn checkpoint(&self, dir: &Path) -> Result<Applied, Error> {
        Ok(self.checkpoint_position(dir)?.applied)
    }

    /// As [`Reader::checkpoint`]; says more of what is in it.
    pub(crate) fn checkpoint_position(&self, dir: &Path) -> Result<Position, Error> {
        checkpoint::create(&*self.shared.generation()?, dir)
    }

    /// The checksum of the content at `revision`, or at the newest one when it is 0. Reads everything.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, crate::Error> {
        self.hash_kv_while(revision, || true)
    }

    /// As [`Reader::hash_kv`], but `Storage` soon after it is not to `go_on`.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub(crate) fn hash_kv_while(
        &self,
        revision: i64,
        go_on: impl Fn() -> bool,
    ) -> Result<HashKvResponse, crate::Error> {
        let generation = self.generation()?;
        let newest = generation.figures.revision();
        if revision > newest {
            return Err(crate::Error::FutureRevision { requested: revision, current: newest });
        }
        let (scan, hash_revision) = if revision > 0 {
            let scan = bulk_scan(&generation, revision)?;
            (scan, revision)
        } else {
            at_newest(&generation, |revision| Ok((bulk_scan(&generation, revision)?, revision)))?
        };
        let compact_revision = generation.figures.compacted();
        if hash_revision < compact_revision && revision > 0 {
            return Err(crate::Error::Compacted { requested: revision, compacted: compact_revision });
        }
        Ok(HashKvResponse {
            header: Some(ResponseHeader { revision: newest, ..ResponseHeader::default() }),
            hash: hash::of_while(scan, go_on)?,
            compact_revision,
            hash_revision,
        })
    }

    /// Starts a watch. It needs no runtime until [`Watcher::next`] is called.
    #[must_use]
    pub fn watch(&self, options: watch::Options) -> Watcher {
        Watcher::new(self.shared.clone(), options)
    }

    /// Bytes of events that are kept for watchers that have not taken them.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.shared.hub().retained_bytes()
    }

    /// A lease, when it exists.
    #[must_use]
    pub fn lease(&self, id: i64) -> Option<Lease> {
        self.shared.generation().ok()?.leases.read().get(id)
    }

    /// All leases, by ascending id.
    #[must_use]
    pub fn leases(&self) -> Vec<Lease> {
        self.shared.generation().map(|generation| generation.leases.read().all()).unwrap_or_default()
    }

    /// Changes whenever a lease is granted, revoked or checkpointed, or the state is replaced.
    #[must_use]
    pub fn leases_version(&self) -> u64 {
        self.shared.generation().map(|generation| generation.leases.read().version()).unwrap_or_default()
    }

    /// The keys attached to a lease, in order.
    ///
    /// # Errors
    /// When the disk fails or the state is closed.
    pub fn lease_keys(&self, id: i64) -> Result<Vec<Bytes>, Error> {
        table::keys(&self.shared.generation()?.columns()?, id)
    }

    /// Whether a key from `from` up to `to`, or up to the last one without it, is attached to a lease. Costs one lookup.
    ///
    /// # Errors
    /// When the disk fails or the state is closed.
    pub(crate) fn has_lease_key(&self, id: i64, from: &[u8], to: Option<&[u8]>) -> Result<bool, Error> {
        table::has_key(&self.shared.generation()?.columns()?, id, from, to, |_| false)
    }

    /// The alarms that are active.
    #[must_use]
    pub(crate) fn alarms(&self) -> Alarms {
        self.shared.figures.load().alarms()
    }

    /// Who the members are, and what is wrong. Empty once the state is closed.
    #[must_use]
    pub fn cluster(&self) -> Arc<ClusterState> {
        self.shared.generation().map(|generation| generation.cluster()).unwrap_or_default()
    }

    /// The checksum of all rows that this member holds, the superseded ones included. Members differ in those. Reads
    /// everything.
    ///
    /// # Errors
    /// When the disk fails or the state is closed.
    pub fn hash_all(&self) -> Result<(u32, i64), Error> {
        let generation = self.shared.generation()?;
        let columns = generation.columns()?;
        let revision = generation.figures.revision();
        Ok((hash::of_rows(generation.db(), &columns.each())?, revision))
    }

    /// Bytes in use: those of the files and of what is not in files yet.
    #[must_use]
    pub fn bytes_in_use(&self) -> u64 {
        let size = |generation: Arc<Generation>| Ok(generation.live_bytes()? + generation.memtable_bytes()?);
        self.shared.generation().and_then(size).unwrap_or_default()
    }

    /// As [`Reader::bytes_in_use`], with the files that are only kept until a read of them is over.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        let size = |generation: Arc<Generation>| Ok(generation.size_bytes()? + generation.memtable_bytes()?);
        self.shared.generation().and_then(size).unwrap_or_default().max(self.bytes_in_use())
    }

    /// Takes the next step in rewriting the files without what is compacted; blocks for a fraction of a second.
    ///
    /// # Errors
    /// When the disk fails or the state is closed.
    pub(crate) fn reclaim(&self, pass: &mut Pass) -> Result<(), Error> {
        self.shared.generation()?.reclaim(pass)
    }

    /// Asks for the space of what is compacted at `revision`.
    pub(crate) fn want_reclaimed(&self, revision: i64) {
        self.shared.want_reclaimed(revision);
    }

    /// The revision up to which somebody asked for the space of what is compacted.
    pub(crate) fn wants_reclaimed(&self) -> watch_channel::Receiver<i64> {
        self.shared.reclaim.subscribe()
    }

    /// Who may do what.
    pub(crate) fn auth(&self) -> &Gate {
        &self.shared.auth
    }

    /// Bytes of the database's files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared.generation().and_then(|generation| generation.size_bytes()).unwrap_or_default()
    }

    /// How many watchers there are, and how many of them have to catch up from history.
    pub(crate) fn watchers(&self) -> (usize, usize) {
        self.shared.hub().watchers()
    }

    /// What applying has measured.
    pub(crate) fn measured(&self) -> &StateFigures {
        self.shared.measured()
    }

    fn generation(&self) -> Result<Arc<Generation>, crate::Error> {
        self.shared.generation().map_err(|_| crate::Error::Stopped)
    }
}

/// Runs `read`, which must make its iterators, at the newest revision; again when a compaction has overtaken it, which
/// takes many writes and a flush in a moment.
fn at_newest<T>(
    generation: &Generation,
    mut read: impl FnMut(i64) -> Result<(T, i64), Error>,
) -> Result<(T, i64), crate::Error> {
    loop {
        let outcome = read(generation.figures.revision())?;
        if outcome.1 >= generation.floor() {
            return Ok(outcome);
        }
    }
}

fn scan(generation: &Generation, span: Span, revision: i64) -> Result<Scan<'_>, Error> {
    let columns = generation.columns()?;
    Scan::new(columns.db, columns.data, None, span, revision, true)
}

/// Everything, without pushing what is hot out of the cache.
fn bulk_scan(generation: &Generation, revision: i64) -> Result<Scan<'_>, Error> {
    let columns = generation.columns()?;
    Scan::new(columns.db, columns.data, None, Span::all(), revision, false)
}
