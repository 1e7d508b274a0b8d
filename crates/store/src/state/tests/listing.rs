//! Reading much of the state, and reading it piece by piece.

use prost::Message as _;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use super::*;
use crate::state::listing::Listing;

/// Keys that one read passes over inside RocksDB, and its seeks in the memtable.
fn work_of(read: impl FnOnce()) -> (u64, u64) {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut work = PerfContext::default();
    work.reset();
    read();
    let found = (work.metric(PerfMetric::InternalKeySkippedCount), work.metric(PerfMetric::SeekOnMemtableCount));
    set_perf_stats(PerfStatsLevel::Disable);
    found
}

#[test]
fn a_key_with_ten_thousand_versions_costs_no_more_than_one_with_a_single_version() {
    let (_folder, mut state) = open();
    for round in 0..10 {
        let value = round.to_string();
        let index = state.applied().index + 1;
        state.apply(vec![entry(index, (0..1000).map(|_| put("old", &value)).collect())]).expect("applies");
    }
    apply(&mut state, vec![put("new", "9"), put("newer", "9"), put("zzz", "9")]);
    let reader = state.reader();
    let one = |key: &str| RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    for flushed in [false, true] {
        if flushed {
            reader.flush().expect("flushes");
        }
        let (skipped, seeks) = work_of(|| assert_eq!(reader.range(&one("new")).expect("reads").count, 1));
        let (old_skipped, old_seeks) = work_of(|| {
            let response = reader.range(&one("old")).expect("reads");
            assert_eq!((response.count, response.kvs[0].version), (1, 10_000));
        });
        assert!(old_skipped <= skipped + 1 && old_seeks <= seeks, "{old_skipped} {skipped} {old_seeks} {seeks}");
        // Among others, it costs the steps that are tried first, and a seek.
        let (skipped, seeks) = work_of(|| assert_eq!(keys(&reader.range(&all()).expect("reads")).len(), 4));
        assert!(skipped < 50 && seeks < 20, "{skipped} {seeks}");
    }
}

/// The pairs of a listing, read in pieces of so many bytes.
fn pieces(listing: &mut Listing, bytes: usize) -> (RangeResponse, usize) {
    let mut encoded = Vec::new();
    for pieces in 1.. {
        let bytes_max = encoded.len() + bytes;
        if let Some(end) = listing.read(&mut encoded, bytes_max).expect("reads") {
            let mut response = RangeResponse::decode(encoded.as_slice()).expect("decodes");
            (response.count, response.more) = (end.count, end.more);
            return (response, pieces);
        }
    }
    unreachable!("it ends")
}

#[test]
fn a_listing_gives_what_a_range_gives_whatever_the_pieces_and_whatever_is_written_meanwhile() {
    let (_folder, mut state) = open();
    apply(&mut state, (0..200).map(|i| put(&format!("k{i:03}"), &"v".repeat(i % 40))).collect());
    apply(&mut state, vec![delete("k007"), put("k100", "again")]);
    let first = state.reader().revision();
    let requests = [
        all(),
        RangeRequest { limit: 10, ..all() },
        RangeRequest { limit: 199, ..all() },
        RangeRequest { keys_only: true, ..all() },
        RangeRequest { count_only: true, ..all() },
        RangeRequest { min_mod_revision: 50, max_create_revision: 120, limit: 30, ..all() },
        RangeRequest { revision: 100, ..all() },
        RangeRequest { key: "k1".into(), range_end: "k2".into(), ..RangeRequest::default() },
        RangeRequest { key: "k2".into(), range_end: "k1".into(), ..RangeRequest::default() },
    ];
    let expected: Vec<RangeResponse> =
        requests.iter().map(|request| state.reader().range(request).expect("reads")).collect();
    let mut listings: Vec<Listing> = (requests.iter())
        .flat_map(|request| [1, 2, 3].map(|_| state.reader().list(request.clone(), true).expect("begins")))
        .collect();
    // All of it is overwritten and compacted away, and the files with it.
    apply(&mut state, (0..200).map(|i| put(&format!("k{i:03}"), "other")).collect());
    apply(&mut state, vec![compact(first + 200)]);
    state.flush().expect("flushes");
    let generation = state.generation.clone();
    let columns = generation.columns().expect("open");
    columns.db.compact_range_cf(columns.data, None::<&[u8]>, None::<&[u8]>);
    for (expected, listings) in expected.iter().zip(listings.chunks_mut(3)) {
        for (listing, bytes) in listings.iter_mut().zip([1, 300, 1 << 20]) {
            let mark = (expected.kvs.len() > 3).then(|| {
                let mut begin = Vec::new();
                assert!(listing.read(&mut begin, 50).expect("reads").is_none());
                (listing.mark(), begin)
            });
            if let Some((mark, begin)) = &mark {
                let (rest, end) = listing.measure().expect("reads");
                let without_rest = RangeResponse { header: None, more: false, count: 0, ..expected.clone() };
                assert_eq!(begin.len() + rest, without_rest.encoded_len());
                assert_eq!((end.count, end.more), (expected.count, expected.more));
                listing.rewind(mark).expect("goes back");
            }
            let given =
                mark.map_or(0, |(_, begin)| RangeResponse::decode(begin.as_slice()).expect("decodes").kvs.len());
            let (response, _) = pieces(listing, bytes);
            assert_eq!(response.kvs, expected.kvs[given..]);
            assert_eq!((response.count, response.more), (expected.count, expected.more));
        }
    }
}

/// How often one read goes to the next key.
fn steps_of(read: impl FnOnce()) -> u64 {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut work = PerfContext::default();
    work.reset();
    read();
    let found = work.metric(PerfMetric::NextOnMemtableCount);
    set_perf_stats(PerfStatsLevel::Disable);
    found
}

#[test]
fn only_the_first_page_of_a_list_passes_over_all_that_is_behind_it() {
    const KEYS: i64 = 1_000;
    const LIMIT: i64 = 10;
    let (_folder, mut state) = open();
    apply(&mut state, (0..KEYS).map(|i| put(&format!("k{i:04}"), "v")).collect());
    let revision = state.reader().revision();
    let mut request = RangeRequest { limit: LIMIT, revision, ..all() };
    let mut steps = Vec::new();
    for page in 0..KEYS / LIMIT {
        steps.push(steps_of(|| {
            let listing = &mut state.reader().list(request.clone(), true).expect("begins");
            let (response, _) = pieces(listing, 1 << 20);
            let left = KEYS - page * LIMIT;
            assert_eq!((response.kvs.len() as i64, response.count), (LIMIT, left));
            assert_eq!(response.more, left > LIMIT);
            request.key = [&response.kvs.last().expect("a page").key[..], &[0]].concat().into();
        }));
        // What is written meanwhile is not of that revision.
        apply(&mut state, vec![put(&format!("k{page:04}b"), "v"), delete(&format!("k{:04}", KEYS - 1 - page))]);
    }
    assert!(steps[0] >= KEYS as u64, "the first page counts: {steps:?}");
    assert!(steps[1..].iter().all(|steps| *steps < 5 * LIMIT as u64), "the others do not: {steps:?}");
    let later = RangeRequest { key: "k0009\0".into(), revision: 0, ..request };
    let (response, _) = pieces(&mut state.reader().list(later.clone(), true).expect("begins"), 1 << 20);
    assert_eq!(response.count, state.reader().range(&later).expect("reads").count, "another revision is counted anew");
    assert_ne!(response.count, KEYS - LIMIT);
}
