//! Lists and watches through the pipeline: pages, selectors, history.

use keelson_api::pipeline::{ChangeKind, ListOptions, ReadVersion, WatchItem, WatchStart};
use keelson_proto::etcdserverpb::CompactionRequest;
use serde_json::json;

use crate::member::{Member, PATIENCE, changes, config_map, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_at_one_revision_until_it_is_compacted() {
    let member = Member::start().await;
    for name in ["a", "b", "c", "d"] {
        member.create("configmaps", config_map(name, "web")).await.expect("creates");
    }
    let limited = ListOptions { limit: 2, ..ListOptions::default() };
    let (names, revision, token) = member.list("configmaps", limited.clone()).await.expect("lists");
    assert_eq!(names, ["a", "b"]);
    member.delete("configmaps", "c").await.expect("deletes");
    let next = ListOptions { continue_token: token, ..limited };
    let (names, same, end) = member.list("configmaps", next.clone()).await.expect("lists");
    assert_eq!((names, same, end.as_str()), (vec!["c".to_owned(), "d".to_owned()], revision, ""));
    let (names, _, _) = member.list("configmaps", ListOptions::default()).await.expect("lists");
    assert_eq!(names, ["a", "b", "d"]);

    let compaction = CompactionRequest { revision: revision + 1, physical: false };
    member.pipeline.store().compact(compaction).await.expect("compacts");
    let expired = member.list("configmaps", next).await.expect_err("is compacted");
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_with_what_is_there_and_sees_selectors_change() {
    use ChangeKind::{Added, Deleted, Modified};
    let member = Member::start().await;
    member.create("configmaps", config_map("a", "web")).await.expect("creates");
    member.create("configmaps", config_map("b", "db")).await.expect("creates");
    let mut watch = member.watch("configmaps", WatchStart::Initial(ReadVersion::MostRecent), "app=web").await;
    assert_eq!(changes(&mut watch).await, [(Added, "a".to_owned())]);
    let marked = watch.next().await.expect("goes on").expect("is no error");
    assert!(matches!(marked, WatchItem::Bookmark { initial_events_end: true, .. }), "{marked:?}");
    member.merge("configmaps", "b", json!({"metadata": {"labels": {"app": "web"}}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Added, "b".to_owned())]);
    member.merge("configmaps", "b", json!({"data": {"k": "w"}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Modified, "b".to_owned())]);
    member.merge("configmaps", "b", json!({"metadata": {"labels": {"app": "db"}}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Deleted, "b".to_owned())]);
    member.delete("configmaps", "a").await.expect("deletes");
    assert_eq!(changes(&mut watch).await, [(Deleted, "a".to_owned())]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_from_the_stores_history_and_expires_with_it() {
    let member = Member::start().await;
    let first = member.create("configmaps", config_map("a", "web")).await.expect("creates");
    // More than the window holds.
    for i in 0..20 {
        member.merge("configmaps", "a", json!({"data": {"k": i.to_string()}})).await.expect("patches");
    }
    let mut watch = member.watch("configmaps", WatchStart::After(version(&first)), "app=web").await;
    let mut seen = 0;
    while seen < 20 {
        let batch = changes(&mut watch).await;
        assert!(batch.iter().all(|(kind, _)| *kind == ChangeKind::Modified), "{batch:?}");
        seen += batch.len();
    }
    assert_eq!(seen, 20);
    member.merge("configmaps", "a", json!({"data": {"k": "live"}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await.len(), 1);

    let compaction = CompactionRequest { revision: version(&first) + 5, physical: false };
    member.pipeline.store().compact(compaction).await.expect("compacts");
    let mut late = member.watch("configmaps", WatchStart::After(version(&first)), "").await;
    let outcome = tokio::time::timeout(PATIENCE, late.next()).await.expect("comes in time").expect("is told");
    let expired = outcome.expect_err("is compacted");
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    assert!(late.next().await.is_none());
    member.stop().await;
}
