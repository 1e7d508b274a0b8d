//! The reflector through breaks, expiry and relists.

use k8s_openapi::api::core::v1::Pod;
use keelson_client::proto::watch_response::Type::{Added, Deleted, Modified};
use keelson_client::reflector::{Cache, Changes, Notice, Reflector};
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::fake::{Member, PATIENCE, batch, client, freezable, initial_end, pod, reason};

fn reflect(members: &[&Member]) -> Cache<Pod> {
    let addresses: Vec<_> = members.iter().map(|member| member.address).collect();
    Reflector::new(client(&addresses))
        .add_index("app", |pod: &Pod| pod.metadata.labels.iter().flatten().map(|(_, value)| value.clone()).collect())
        .start()
}

async fn reached(cache: &Cache<Pod>, revision: i64) {
    timeout(PATIENCE, cache.reached(revision)).await.expect("the cache gets there");
}

fn names(cache: &Cache<Pod>) -> Vec<String> {
    let mut names: Vec<String> = cache.keys().into_iter().map(|key| key.to_string()).collect();
    names.sort();
    names
}

/// The next change as "name old-revision new-revision".
async fn next(changes: &mut Changes<Pod>) -> String {
    let notice = timeout(PATIENCE, changes.next()).await.expect("there is a change").expect("the cache lives");
    let Notice::Change(change) = notice else { panic!("unexpected resync") };
    let version = |pod: Option<&Pod>| pod.and_then(|pod| pod.metadata.resource_version.clone()).unwrap_or("-".into());
    format!("{} {} {}", change.key.name, version(change.old.as_deref()), version(change.new.as_deref()))
}

#[tokio::test]
async fn the_first_list_fills_the_cache_in_one_step_and_changes_follow() {
    let member = Member::start().await;
    member.played.watch(
        vec![
            batch(&[(Added, pod("a", 1)), (Added, pod("b", 2))], 0),
            initial_end(5),
            batch(&[(Modified, pod("a", 6)), (Deleted, pod("b", 6)), (Added, pod("c", 6))], 6),
        ],
        true,
    );
    let cache = reflect(&[&member]);
    let mut changes = cache.changes();
    reached(&cache, 6).await;
    assert_eq!(names(&cache), ["default/a", "default/c"]);
    assert_eq!(cache.by_index("app", "c").len(), 1);
    assert!(cache.by_index("app", "b").is_empty());
    // Depending on when the subscriber looks it sees the way there or only the end; the end is the same.
    let mut last = next(&mut changes).await;
    while !last.starts_with("c ") {
        last = next(&mut changes).await;
    }
    assert_eq!(last, "c - 6");
    assert_eq!(cache.get("default", "a").and_then(|pod| pod.metadata.resource_version.clone()).as_deref(), Some("6"));
}

#[tokio::test]
async fn what_no_reader_looks_at_is_not_kept() {
    let member = Member::start().await;
    let managed = |revision| {
        let mut pod = pod("a", revision);
        pod["metadata"]["managedFields"] = json!([{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }]);
        pod["spec"] = json!({ "containers": [{ "name": "main" }] });
        pod
    };
    let changed = batch(&[(Modified, managed(6))], 6);
    member.played.watch(vec![batch(&[(Added, managed(1))], 0), initial_end(5), changed], true);
    let forget = |pod: &mut Pod| pod.spec = None;
    let cache: Cache<Pod> = Reflector::new(client(&[member.address])).forget(forget).start();
    for revision in [5, 6] {
        reached(&cache, revision).await;
        let kept = cache.get("default", "a").expect("is there");
        let of_no_use = (&kept.metadata.managed_fields, &kept.spec);
        assert_eq!(of_no_use, (&None, &None), "at revision {revision}");
        assert!(kept.metadata.labels.is_some());
    }
}

#[tokio::test]
async fn a_broken_watch_resumes_on_another_member_where_it_stopped() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.watch(
        vec![batch(&[(Added, pod("a", 1))], 0), initial_end(5), Err(Status::unavailable("the member goes away"))],
        false,
    );
    second.played.watch(vec![batch(&[(Added, pod("b", 9))], 9)], true);
    let cache = reflect(&[&first, &second]);
    reached(&cache, 9).await;
    assert_eq!(names(&cache), ["default/a", "default/b"]);
    assert_eq!(second.played.calls(), ["watch 5"]);
}

#[tokio::test]
async fn an_expired_watch_lists_again_and_finds_what_was_deleted() {
    let member = Member::start().await;
    member.played.watch(
        vec![batch(&[(Added, pod("a", 1)), (Added, pod("b", 2)), (Added, pod("c", 3))], 0), initial_end(5)],
        false,
    );
    member.played.watch(vec![Err(reason(Code::OutOfRange, "Expired"))], false);
    member.played.watch(vec![batch(&[(Added, pod("a", 1)), (Added, pod("b", 8))], 0), initial_end(9)], true);
    let cache = reflect(&[&member]);
    reached(&cache, 5).await;
    let mut changes = cache.changes();
    reached(&cache, 9).await;
    assert_eq!(names(&cache), ["default/a", "default/b"]);
    assert_eq!(member.played.calls(), ["watch ", "watch 5", "watch "]);
    let mut seen = vec![next(&mut changes).await, next(&mut changes).await];
    seen.sort();
    assert!(seen[0].starts_with("a "), "{seen:?}");
    assert_eq!(cache.get("default", "b").and_then(|pod| pod.metadata.resource_version.clone()).as_deref(), Some("8"));
}

#[tokio::test]
async fn half_a_list_never_shows() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.watch(vec![batch(&[(Added, pod("gone", 1))], 0), Err(Status::unavailable("half-way"))], false);
    second.played.watch(vec![batch(&[(Added, pod("a", 1))], 0), initial_end(5)], true);
    let cache = reflect(&[&first, &second]);
    assert!(!cache.is_synced());
    reached(&cache, 5).await;
    assert_eq!(names(&cache), ["default/a"]);
    assert_eq!(second.played.calls(), ["watch "]);
}

#[tokio::test]
async fn a_member_that_dies_is_left_for_another() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.watch(vec![batch(&[(Added, pod("a", 1))], 0), initial_end(5)], true);
    second.played.watch(vec![batch(&[(Added, pod("b", 9))], 9)], true);
    let cache = reflect(&[&first, &second]);
    reached(&cache, 5).await;
    drop(first);
    reached(&cache, 9).await;
    assert_eq!(second.played.calls(), ["watch 5"]);
}

#[tokio::test]
async fn a_member_that_freezes_is_noticed_and_left_for_another() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.watch(vec![batch(&[(Added, pod("a", 1))], 0), initial_end(5)], true);
    second.played.watch(vec![batch(&[(Added, pod("b", 9))], 9)], true);
    let (way, frozen) = freezable(first.address).await;
    let cache: Cache<Pod> = Reflector::new(client(&[way, second.address])).start();
    reached(&cache, 5).await;
    frozen.send_replace(true);
    reached(&cache, 9).await;
    assert_eq!(second.played.calls(), ["watch 5"]);
}
