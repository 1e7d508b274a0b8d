//! Watches over REST: where they start, what they send, how they end.

use http::Method;
use serde_json::{Value, json};

use crate::member::{Lines, Member, administrator};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn watch(member: &Member, query: &str, headers: &[(&str, &str)]) -> Lines {
    Lines::new(member.open(administrator(), Method::GET, &format!("{MAPS}?watch=true&{query}"), headers, "").await)
}

async fn create(member: &Member, name: &str) -> Value {
    member.post(MAPS, &json!({"metadata": {"name": name}, "data": {"a": "1"}})).await.expect(201)
}

/// `ADDED m`, or the type alone.
fn short(event: &Value) -> String {
    let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
    format!("{} {name}", event["type"].as_str().unwrap_or_default()).trim_end().to_owned()
}

#[tokio::test]
async fn a_streamed_list_ends_with_its_bookmark_and_goes_on() {
    let member = Member::start().await;
    create(&member, "m").await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = watch(&member, query, &[]).await;
    assert_eq!(short(&lines.next().await.expect("an event")), "ADDED m");
    let bookmark = lines.next().await.expect("a bookmark");
    assert_eq!(short(&bookmark), "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");

    create(&member, "n").await;
    member.patch(&format!("{MAPS}/n"), "merge", &json!({"data": {"a": "2"}})).await.expect(200);
    member.delete(&format!("{MAPS}/n")).await.expect(200);
    let mut events = Vec::new();
    while events.len() < 3 {
        events.push(lines.next().await.expect("an event"));
    }
    assert_eq!(events.iter().map(short).collect::<Vec<_>>(), ["ADDED n", "MODIFIED n", "DELETED n"]);
    let revision = |event: &Value| -> i64 {
        event["object"]["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
    };
    assert!(revision(&events[0]) < revision(&events[1]) && revision(&events[1]) < revision(&events[2]));
}

#[tokio::test]
async fn a_watch_resumes_right_after_a_revision() {
    let member = Member::start().await;
    let first = create(&member, "a").await;
    create(&member, "b").await;
    let after = first["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut lines = watch(&member, &format!("resourceVersion={after}"), &[]).await;
    assert_eq!(short(&lines.next().await.expect("an event")), "ADDED b");
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let member = Member::start().await;
    let mut lines = watch(&member, "resourceVersion=0&timeoutSeconds=1", &[]).await;
    while let Some(event) = lines.next().await {
        assert_ne!(short(&event), "ERROR");
    }
}

#[tokio::test]
async fn a_watch_may_ask_for_more_time_than_there_is() {
    let member = Member::start().await;
    create(&member, "a").await;
    let mut lines = watch(&member, &format!("resourceVersion=0&timeoutSeconds={}", u64::MAX), &[]).await;
    assert_eq!(short(&lines.next().await.expect("an event")), "ADDED a");
}

#[tokio::test]
async fn a_watched_table_names_its_columns_once() {
    let member = Member::start().await;
    create(&member, "a").await;
    create(&member, "b").await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let mut lines = watch(&member, "", &accept).await;
    let first = lines.next().await.expect("an event");
    let second = lines.next().await.expect("an event");
    assert!(first["object"]["columnDefinitions"].is_array() && second["object"]["columnDefinitions"].is_null());
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn one_object_is_watched_by_its_own_path() {
    let member = Member::start().await;
    create(&member, "a").await;
    create(&member, "b").await;
    let path = format!("{MAPS}/b?watch=true");
    let mut lines = Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await);
    assert_eq!(short(&lines.next().await.expect("an event")), "ADDED b");
}

#[tokio::test]
async fn a_watch_from_now_starts_with_nothing() {
    let member = Member::start().await;
    create(&member, "a").await;
    let mut lines = watch(&member, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan", &[]).await;
    create(&member, "b").await;
    assert_eq!(short(&lines.next().await.expect("an event")), "ADDED b");
}
