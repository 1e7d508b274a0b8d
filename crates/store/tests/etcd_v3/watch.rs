//! Watches: what is promised about them, and each option.

use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::watch_create_request::FilterType;
use keelson_proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, RequestOp, TxnRequest, WatchCreateRequest};
use keelson_proto::mvccpb::event::EventType;

use crate::cluster::Cluster;
use crate::kv::{put, put_request, range_request};
use crate::watch_stream::{WatchStream, brief, watch};

const PUT: i32 = EventType::Put as i32;
const DELETE: i32 = EventType::Delete as i32;

fn event(revision: i64, kind: i32, key: &str, value: &str) -> (i64, i32, String, String) {
    (revision, kind, key.to_owned(), value.to_owned())
}

/// Waits until a member has applied everything that was acknowledged, so that its "now" is after it. A write through a
/// follower is acknowledged when the leader has applied it.
async fn catch_up(cluster: &Cluster, member: usize) {
    cluster.members[member].handle.read_barrier().await.expect("the cluster has a leader");
}

async fn delete(cluster: &Cluster, key: &str) -> i64 {
    let request = DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
    let response = cluster.kv(0).await.delete_range(request).await.expect("a deletion").into_inner();
    response.header.expect("a header").revision
}

#[tokio::test]
async fn events_come_in_order_on_every_member_whoever_wrote() {
    let cluster = Cluster::shared();
    let mut streams = Vec::new();
    for member in 0..3 {
        let mut stream = WatchStream::open(cluster.watch(member).await);
        // The member may lag behind the others a little; nothing of this test was written before.
        stream.created(watch("watch/order/", "watch/order0")).await;
        streams.push(stream);
    }
    let mut expected = Vec::new();
    for i in 0..30 {
        let key = format!("watch/order/{}", i % 4);
        let revision = put(&mut cluster.kv(i % 3).await, &key, &i.to_string()).await;
        expected.push(event(revision, PUT, &key, &i.to_string()));
    }
    let deleted_at = delete(&cluster, "watch/order/0").await;
    expected.push(event(deleted_at, DELETE, "watch/order/0", ""));
    for stream in &mut streams {
        assert_eq!(brief(&stream.events(31).await), expected);
    }
}

#[tokio::test]
async fn a_watch_from_the_past_is_complete_and_goes_on() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    let mut revisions = Vec::new();
    for i in 0..10 {
        revisions.push(put(&mut kv, "watch/past/a", &i.to_string()).await);
    }
    let mut stream = WatchStream::open(cluster.watch(0).await);
    let start = WatchCreateRequest { start_revision: revisions[3], ..watch("watch/past/a", "") };
    stream.created(start).await;
    for i in 10..15 {
        revisions.push(put(&mut kv, "watch/past/a", &i.to_string()).await);
    }
    let events = brief(&stream.events(12).await);
    assert_eq!(events.iter().map(|event| event.0).collect::<Vec<_>>(), revisions[3..]);
}

#[tokio::test]
async fn a_watch_from_the_future_waits_for_it() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let now = put(&mut kv, "a", "1").await;
    let mut stream = WatchStream::open(cluster.watch(0).await);
    stream.created(WatchCreateRequest { start_revision: now + 3, ..watch("a", "") }).await;
    for value in ["2", "3", "4"] {
        put(&mut kv, "a", value).await;
    }
    assert_eq!(brief(&stream.events(1).await), [event(now + 3, PUT, "a", "4")]);
}

#[tokio::test]
async fn all_changes_of_a_transaction_come_in_one_response() {
    let cluster = Cluster::shared();
    let mut stream = WatchStream::open(cluster.watch(1).await);
    stream.created(watch("watch/atomic/", "watch/atomic0")).await;
    let puts = (0..50).map(|i| put_request(&format!("watch/atomic/{i:02}"), "1"));
    let success = puts.map(|put| RequestOp { request: Some(Op::RequestPut(put)) }).collect();
    cluster.kv(0).await.txn(TxnRequest { success, ..Default::default() }).await.expect("a transaction");
    let response = stream.next().await;
    assert_eq!(response.events.len(), 50);
    let revision = response.header.expect("a header").revision;
    assert!(brief(&response.events).iter().all(|event| event.0 == revision));
}

#[tokio::test]
async fn previous_values_and_filters() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(0).await;
    put(&mut kv, "watch/prev/a", "1").await;
    catch_up(&cluster, 0).await;
    let mut with_previous = WatchStream::open(cluster.watch(0).await);
    with_previous.created(WatchCreateRequest { prev_kv: true, ..watch("watch/prev/", "watch/prev0") }).await;
    let mut no_puts = WatchStream::open(cluster.watch(0).await);
    let filters = vec![FilterType::Noput.into()];
    no_puts.created(WatchCreateRequest { filters, ..watch("watch/prev/", "watch/prev0") }).await;
    let mut no_deletes = WatchStream::open(cluster.watch(0).await);
    let filters = vec![FilterType::Nodelete.into()];
    no_deletes.created(WatchCreateRequest { filters, ..watch("watch/prev/", "watch/prev0") }).await;

    let first = put(&mut kv, "watch/prev/a", "2").await;
    let second = put(&mut kv, "watch/prev/b", "1").await;
    let third = delete(&cluster, "watch/prev/a").await;
    let events = with_previous.events(3).await;
    let previous: Vec<Option<&[u8]>> =
        events.iter().map(|event| event.prev_kv.as_ref().map(|kv| kv.value.as_ref())).collect();
    assert_eq!(previous, [Some(&b"1"[..]), None, Some(&b"2"[..])]);
    assert_eq!(brief(&no_puts.events(1).await), [event(third, DELETE, "watch/prev/a", "")]);
    let puts = [event(first, PUT, "watch/prev/a", "2"), event(second, PUT, "watch/prev/b", "1")];
    let seen = no_deletes.events(2).await;
    assert_eq!(brief(&seen), puts);
    assert!(seen.iter().all(|event| event.prev_kv.is_none()), "nobody asked");
}

#[tokio::test]
async fn ids_are_given_or_chosen_and_free_again_after_a_cancel() {
    let cluster = Cluster::shared();
    let mut stream = WatchStream::open(cluster.watch(2).await);
    let (first, _) = stream.created(watch("watch/id", "")).await;
    let (second, _) = stream.created(watch("watch/id", "")).await;
    assert_eq!((first, second), (0, 1));
    let chosen = WatchCreateRequest { watch_id: 7, ..watch("watch/id", "") };
    assert_eq!(stream.created(chosen.clone()).await.0, 7);

    stream.create(chosen.clone()).await;
    let refused = stream.next().await;
    assert!(refused.created && refused.canceled && refused.watch_id == -1);
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");

    stream.cancel(7).await;
    let canceled = stream.next().await;
    assert!(canceled.canceled && canceled.watch_id == 7 && canceled.cancel_reason.is_empty());
    stream.cancel(7).await;
    assert_eq!(stream.created(chosen).await.0, 7, "cancelling twice is passed over");

    put(&mut cluster.kv(0).await, "watch/id", "1").await;
    let mut ids = vec![stream.next().await.watch_id, stream.next().await.watch_id, stream.next().await.watch_id];
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 7], "each watch has the event once");
    stream.close().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_on_the_stream() {
    let cluster = Cluster::shared();
    let mut stream = WatchStream::open(cluster.watch(0).await);
    for (request, reason) in [
        (
            WatchCreateRequest { start_revision: -1, ..watch("a", "") },
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (watch("b", "a"), "mvcc: watcher range is empty"),
        (watch("b", "b"), "mvcc: watcher range is empty"),
    ] {
        stream.create(request).await;
        let refused = stream.next().await;
        assert!(refused.created && refused.canceled && refused.watch_id == -1, "{refused:?}");
        assert_eq!(refused.cancel_reason, reason);
    }
    stream.created(watch("a", "\0")).await;
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_ends_with_the_oldest_that_is_left() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let first = put(&mut kv, "a", "1").await;
    let second = put(&mut kv, "a", "2").await;
    kv.compact(CompactionRequest { revision: second, physical: true }).await.expect("a compaction");
    let mut stream = WatchStream::open(cluster.watch(0).await);
    let (id, _) = stream.created(WatchCreateRequest { start_revision: first, ..watch("a", "") }).await;
    let ended = stream.next().await;
    assert!(ended.canceled && ended.watch_id == id && ended.events.is_empty());
    assert_eq!(ended.compact_revision, second);
    // The stream itself lives on.
    stream.created(WatchCreateRequest { start_revision: second, ..watch("a", "") }).await;
    assert_eq!(brief(&stream.events(1).await), [event(second, PUT, "a", "2")]);
}

#[tokio::test]
async fn progress_is_reported_once_every_watch_of_the_stream_is_there() {
    let cluster = Cluster::shared();
    let mut kv = cluster.kv(1).await;
    let first = put(&mut kv, "watch/progress/a", "1").await;
    let mut last = first;
    for i in 0..200 {
        last = put(&mut kv, "watch/progress/a", &i.to_string()).await;
    }
    let mut stream = WatchStream::open(cluster.watch(1).await);
    stream.request_progress().await;
    stream.created(WatchCreateRequest { start_revision: first, ..watch("watch/progress/a", "") }).await;
    stream.create(watch("watch/progress/b", "")).await;
    stream.request_progress().await;
    let (mut seen, mut created) = (first - 1, 0);
    loop {
        let response = stream.next().await;
        if let Some(event) = brief(&response.events).last() {
            seen = event.0;
        } else if response.created {
            created += 1;
        } else {
            assert_eq!((response.watch_id, created), (-1, 1), "{response:?}");
            assert!(response.header.expect("a header").revision >= last);
            assert_eq!(seen, last, "progress comes after all that it speaks of");
            break;
        }
    }
}

#[tokio::test]
async fn a_large_revision_comes_in_fragments_to_those_who_want_them() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    // Larger than a response in fragments may be: a deletion whose previous values come with it.
    for i in 0..6 {
        put(&mut kv, &format!("big/{i}"), &"x".repeat(1 << 20)).await;
    }
    catch_up(&cluster, 0).await;
    let mut whole = WatchStream::open(cluster.watch(0).await);
    whole.created(WatchCreateRequest { prev_kv: true, ..watch("big/", "big0") }).await;
    let mut cut = WatchStream::open(cluster.watch(0).await);
    cut.created(WatchCreateRequest { prev_kv: true, fragment: true, ..watch("big/", "big0") }).await;
    let all = DeleteRangeRequest { key: "big/".into(), range_end: "big0".into(), ..Default::default() };
    kv.delete_range(all).await.expect("a deletion");

    let response = whole.next().await;
    assert_eq!((response.events.len(), response.fragment), (6, false));
    let (mut events, mut fragments) = (0, 0);
    loop {
        let response = cut.next().await;
        events += response.events.len();
        fragments += 1;
        if !response.fragment {
            break;
        }
    }
    assert_eq!(events, 6);
    assert!(fragments >= 3, "{fragments}");
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_nothing_later() {
    let cluster = Cluster::shared();
    let mut stream = WatchStream::open(cluster.watch(0).await);
    stream.created(watch("watch/slow/", "watch/slow0")).await;
    let mut kv = cluster.kv(0).await;
    // More than the connection's and the watch's buffers hold together.
    let value = "x".repeat(64 << 10);
    let mut revisions = Vec::new();
    for i in 0..150 {
        revisions.push(put(&mut kv, &format!("watch/slow/{i:03}"), &value).await);
    }
    let events = brief(&stream.events(150).await);
    assert_eq!(events.iter().map(|event| event.0).collect::<Vec<_>>(), revisions);
}

#[tokio::test]
async fn many_watches_on_one_stream_each_see_each_event_once() {
    let cluster = Cluster::shared();
    let mut stream = WatchStream::open(cluster.watch(2).await);
    for _ in 0..200 {
        stream.created(watch("watch/many", "")).await;
    }
    let mut kv = cluster.kv(2).await;
    for i in 0..20 {
        put(&mut kv, "watch/many", &i.to_string()).await;
    }
    let mut last = vec![-1_i64; 200];
    let mut left = 200 * 20;
    while left > 0 {
        let response = stream.next().await;
        let watch = usize::try_from(response.watch_id).expect("an id");
        for event in brief(&response.events) {
            let value: i64 = event.3.parse().expect("a number");
            assert_eq!(value, last[watch] + 1);
            last[watch] = value;
            left -= 1;
        }
    }
    assert_eq!(kv.range(range_request("watch/many", "")).await.expect("a range").into_inner().count, 1);
}

#[tokio::test]
async fn a_client_that_never_reads_holds_nobody_up_and_ends_alone_with_a_revision_to_resume_from() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let begin = put(&mut kv, "slow/", "").await;
    let mut slow = WatchStream::open(cluster.watch(0).await);
    // More watches than history is read for at one time.
    for _ in 0..20 {
        slow.created(watch("slow/", "slow0")).await;
    }
    let (quiet, _) = slow.created(watch("quiet", "")).await;
    let mut fast = WatchStream::open(cluster.watch(0).await);
    fast.created(watch("slow/", "slow0")).await;
    // More than all windows and buffers of the slow one hold.
    let value = "x".repeat(500 << 10);
    let mut last = begin;
    for i in 0..120 {
        last = put(&mut kv, &format!("slow/{i:03}"), &value).await;
        assert_eq!(brief(&fast.events(1).await)[0].0, last, "the other is not behind");
    }
    kv.compact(CompactionRequest { revision: last, physical: true }).await.expect("a compaction");
    // Each gets a part in order, and then learns where to go on.
    let mut seen = std::collections::HashMap::new();
    let mut ended = 0;
    while ended < 20 {
        let response = slow.next().await;
        if response.canceled {
            assert_eq!(response.compact_revision, last, "{response:?}");
            ended += 1;
            continue;
        }
        for event in brief(&response.events) {
            let before = seen.insert(response.watch_id, event.0).unwrap_or(begin);
            assert_eq!(event.0, before + 1, "nothing is left out");
        }
    }
    assert!(seen.values().all(|seen| *seen < last));
    slow.created(WatchCreateRequest { start_revision: last, ..watch("slow/", "slow0") }).await;
    assert_eq!(brief(&slow.events(1).await)[0].0, last);
    put(&mut kv, "quiet", "1").await;
    assert_eq!(slow.next().await.watch_id, quiet, "watches that had nothing to catch up with live on");
}

#[tokio::test]
async fn watches_go_on_after_the_last_request_and_the_stream_ends_with_them() {
    let cluster = Cluster::start(false);
    let mut kv = cluster.kv(0).await;
    let first = put(&mut kv, "a", "1").await;
    let last = put(&mut kv, "a", "2").await;
    let mut stream = WatchStream::open(cluster.watch(0).await);
    stream.created(watch("a", "")).await;
    stream.ask_no_more();
    let next = put(&mut kv, "a", "3").await;
    assert_eq!(brief(&stream.events(1).await), [event(next, PUT, "a", "3")]);
    kv.compact(CompactionRequest { revision: last, physical: true }).await.expect("a compaction");
    let mut stream = WatchStream::open(cluster.watch(0).await);
    stream.created(WatchCreateRequest { start_revision: first, ..watch("a", "") }).await;
    stream.ask_no_more();
    assert!(stream.next().await.canceled);
    assert!(stream.result().await.expect("no error").is_none());
}
