//! Compaction, and what is refused after it.

use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{CompactionRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest};

use super::watches::{Stream, create};
use crate::run::{Run, put, range};

pub async fn all(run: &mut Run) {
    run.group("compact").await;
    let base = run.base;
    for i in 1..=6 {
        run.put("k/a", &i.to_string()).await;
    }
    run.put("k/b", "1").await;
    let compact = async |run: &mut Run, name: &str, revision: i64| {
        let answer = run.kv.compact(CompactionRequest { revision, physical: true }).await;
        run.case(name, answer);
    };
    compact(run, "revision 0 of what was never compacted", 0).await;
    compact(run, "a negative revision of what was never compacted", -1).await;
    compact(run, "a future revision", base + 100).await;
    compact(run, "some revision", base + 4).await;
    compact(run, "it again", base + 4).await;
    compact(run, "an older one", base + 3).await;
    compact(run, "revision 0", 0).await;
    compact(run, "a negative revision", -1).await;
    for (name, revision) in [("a read before it", 3), ("a read at it", 4), ("a read after it", 5)] {
        let answer = run.kv.range(RangeRequest { revision: base + revision, ..range("k/a", "") }).await;
        run.case(name, answer);
    }
    let old = RangeRequest { revision: base + 2, ..range("k/a", "") };
    let read = |request: RangeRequest| RequestOp { request: Some(Op::RequestRange(request)) };
    let request = TxnRequest { success: vec![read(old.clone())], ..Default::default() };
    let answer = run.kv.txn(request).await;
    run.case("a transaction that reads before it", answer);
    let write = RequestOp { request: Some(Op::RequestPut(put("k/c", "1"))) };
    let request = TxnRequest { success: vec![write, read(old)], ..Default::default() };
    let answer = run.kv.txn(request).await;
    run.case("a transaction that writes and reads before it", answer);
    let answer = run.kv.range(range("k/", "k0")).await;
    run.case("what is left", answer);

    let mut stream = Stream::open(run, WatchCreateRequest { start_revision: base + 2, ..create("k/a", "") }).await;
    stream.note(run, "a watch from before it is created").await;
    stream.note(run, "a watch from before it is canceled").await;
    let from = WatchCreateRequest { start_revision: base + 4, prev_kv: true, ..create("k/a", "") };
    let mut stream = Stream::open(run, from).await;
    stream.note(run, "a watch from it is created").await;
    stream.note_events(run, "a watch from it has the previous pair where it is left", 3).await;
    compact(run, "the newest revision", run.base + 7).await;
    let newest = run.revision().await;
    compact(run, "the very newest revision", newest).await;
}
