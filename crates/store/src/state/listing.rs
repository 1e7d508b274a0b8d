//! A range read piece by piece, and encoded as it is read.
//!
//! A listing owns its position, and with it everything that the database held when it was made: neither later writes, nor
//! compactions, nor a replaced state change what it still reads. So long it keeps files and memtables that are replaced
//! otherwise; whoever holds one bounds for how long.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse};
use self_cell::self_cell;

use super::Error;
use super::generation::Generation;
use super::page_counts::{PageCounts, Place as PagePlace};
use crate::mvcc::encode::Pair;
use crate::mvcc::range::{Collector, has_filters, passes_filters};
use crate::mvcc::scan::Scan;
use crate::mvcc::span::Span;

self_cell!(
    /// A scan with the database that it reads.
    struct Pinned {
        owner: Arc<Generation>,
        #[covariant]
        dependent: Scan,
    }
);

/// A range that is being read.
pub(crate) struct Listing {
    pinned: Pinned,
    request: RangeRequest,
    /// The store's newest revision when the listing was made.
    newest: i64,
    place: Place,
    /// The scan is on a pair that was not given yet.
    pending: bool,
    pages: Pages,
}

/// What the pages of one list tell each other.
struct Pages {
    counts: Arc<PageCounts>,
    revision: i64,
    /// How many keys there are from the start on, if the page before has told.
    count: Option<i64>,
    /// The last pair that the limit lets through.
    last: Vec<u8>,
}

impl Pages {
    fn new(counts: Arc<PageCounts>, request: &RangeRequest, revision: i64) -> Self {
        let mut pages = Self { counts, revision, count: None, last: Vec::new() };
        if is_page(request) {
            pages.count = pages.counts.get(&pages.place(request.key.clone(), request));
        }
        pages
    }

    fn place(&self, key: Bytes, request: &RangeRequest) -> PagePlace {
        PagePlace { key, range_end: request.range_end.clone(), revision: self.revision }
    }

    /// Tells the next page how many keys are left for it. Clients go on right behind the last key that they were given.
    fn tell(&self, request: &RangeRequest, count: i64) {
        if is_page(request) {
            let next = [&self.last[..], &[0]].concat();
            self.counts.note(self.place(next.into(), request), count);
        }
    }
}

/// Whether what is given are the first ones of all that is counted.
fn is_page(request: &RangeRequest) -> bool {
    request.limit > 0 && !request.count_only && !has_filters(request)
}

/// How far a listing is.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Live keys passed, given or not.
    count: i64,
    given: i64,
    more: bool,
}

/// A place to come back to.
pub(crate) struct Mark {
    key: Bytes,
    place: Place,
}

/// What ends an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) revision: i64,
    pub(crate) count: i64,
    pub(crate) more: bool,
}

impl Listing {
    /// Reads what `request` asks for as of `revision`, in the order of keys. Whoever calls it looks afterwards whether that
    /// revision was still there.
    pub(super) fn new(
        generation: Arc<Generation>,
        request: RangeRequest,
        revision: i64,
        newest: i64,
        fill_cache: bool,
        counts: Arc<PageCounts>,
    ) -> Result<Self, Error> {
        let pages = Pages::new(counts, &request, revision);
        let span = Span::new(&request.key, &request.range_end);
        let pinned = Pinned::try_new(generation, |generation| {
            let columns = generation.columns()?;
            Scan::new(columns.db, columns.data, None, span, revision, fill_cache)
        })?;
        Ok(Self { pinned, request, newest, place: Place::default(), pending: false, pages })
    }

    pub(crate) fn request(&self) -> &RangeRequest {
        &self.request
    }

    /// Appends pairs to `out` as long as it stays within `bytes_max`, the first one whatever its size. Gives the end when
    /// there is nothing left.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> Result<Option<End>, Error> {
        let start = out.len();
        self.walk(|pair| {
            let fits = out.len() == start || out.len() + pair.encoded_len() <= bytes_max;
            if fits {
                pair.push(out);
            }
            fits
        })
    }

    /// The bytes of all that is left, and the end; nothing is kept.
    pub(crate) fn measure(&mut self) -> Result<(usize, End), Error> {
        let mut bytes = 0;
        let end = self.walk(|pair| {
            bytes += pair.encoded_len();
            true
        })?;
        let end = end.ok_or(Error::Corrupt { what: "the end of a range" })?;
        Ok((bytes, end))
    }

    /// The place where [`Listing::read`] has stopped before the end.
    pub(crate) fn mark(&self) -> Mark {
        let place = Place { count: self.place.count - i64::from(self.pending), ..self.place };
        Mark { key: Bytes::copy_from_slice(self.pinned.borrow_dependent().key()), place }
    }

    /// Goes back to a place where [`Listing::read`] has stopped.
    pub(crate) fn rewind(&mut self, mark: &Mark) -> Result<(), Error> {
        self.place = mark.place;
        self.pending = false;
        self.pinned.with_dependent_mut(|_, scan| scan.restart(&mark.key))
    }

    /// Takes pairs in until `collector` holds `bytes_max`; gives whether that was all.
    pub(crate) fn collect(&mut self, collector: &mut Collector, bytes_max: usize) -> Result<bool, Error> {
        let request = &self.request;
        self.pinned.with_dependent_mut(|_, scan| {
            while collector.bytes() < bytes_max {
                if !scan.advance()? {
                    return Ok(true);
                }
                collector.take(scan, request)?;
            }
            Ok(false)
        })
    }

    /// Ends what [`Listing::collect`] has gathered.
    pub(crate) fn finish(&self, collector: Collector) -> RangeResponse {
        collector.finish(&self.request, self.newest)
    }

    /// Offers each pair that is wanted until one is not taken, which is offered again next time. What is behind the limit is
    /// only counted, unless the page before has told how much it is.
    fn walk(&mut self, mut give: impl FnMut(Pair<'_>) -> bool) -> Result<Option<End>, Error> {
        let Self { pinned, request, newest, place, pending, pages } = self;
        pinned.with_dependent_mut(|_, scan| {
            loop {
                if !std::mem::take(pending) {
                    if !scan.advance()? {
                        break;
                    }
                    place.count += 1;
                }
                if request.count_only || !passes_filters(scan, request) {
                    continue;
                }
                if request.limit > 0 && place.given >= request.limit {
                    place.more = true;
                    if let Some(count) = pages.count {
                        place.count = count;
                        break;
                    }
                    continue;
                }
                if !give(Pair::of(scan, !request.keys_only)?) {
                    *pending = true;
                    return Ok(None);
                }
                place.given += 1;
                if place.given == request.limit {
                    pages.last = scan.key().to_vec();
                }
            }
            if place.more {
                pages.tell(request, place.count - place.given);
            }
            Ok(Some(End { revision: *newest, count: place.count, more: place.more }))
        })
    }
}
