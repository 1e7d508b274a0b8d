//! Kinds that users define, asked for through a member that does not know yet what the store says of them.
//!
//! Each request is begun while the member stands still, which decides what it takes the kind for, and ended when it follows.

use std::future::Future;
use std::pin::pin;

use futures::poll;
use http::Method;
use serde_json::{Value, json};

use crate::cron_tabs::{BETA, DEFINITIONS, OWN, TABLE, V1, cron_tab, definition, established, until, watched};
use crate::member::{Answer, Gate, Member};

/// Begins a request, and ends it when the member follows.
async fn begun(gate: &Gate, request: impl Future<Output = Answer>) -> Answer {
    let mut request = pin!(request);
    assert!(poll!(&mut request).is_pending(), "the member cannot answer before it follows");
    gate.open();
    request.await
}

/// A member with CronTabs, of which there is one, and another that has followed so far and stands still.
async fn stuck() -> (Member, Member, Gate) {
    let member = Member::start().await;
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let (behind, gate) = member.lagging().await;
    behind.get(&format!("{V1}/a")).await.expect(200);
    gate.close();
    (member, behind, gate)
}

async fn change(member: &Member, changed: impl FnOnce(&mut Value)) {
    let mut definition = member.get(OWN).await.expect(200);
    changed(&mut definition);
    member.put(OWN, &definition).await.expect(200);
}

/// Gives both versions a field with a default.
fn add_zone(definition: &mut Value) {
    for version in definition["spec"]["versions"].as_array_mut().expect("a list") {
        let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        spec["zone"] = json!({"type": "string", "default": "here"});
        version["additionalPrinterColumns"] = json!([{"name": "Zone", "type": "string", "jsonPath": ".spec.zone"}]);
    }
}

async fn delete_definition(member: &Member) {
    let mut definitions = watched(member, "crontabs.example.com").await;
    member.delete(OWN).await.expect(200);
    until(&mut definitions, |line| line["type"] == "DELETED").await;
}

#[tokio::test]
async fn a_kind_is_found_through_every_member_as_soon_as_it_is_established() {
    let member = Member::start().await;
    let (behind, gate) = member.lagging().await;
    gate.close();
    established(&member, &definition()).await;
    assert_eq!(begun(&gate, behind.get(V1)).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn objects_are_read_by_the_schema_that_is_in_force() {
    let (member, behind, gate) = stuck().await;
    change(&member, add_zone).await;
    let seen = begun(&gate, behind.get(&format!("{BETA}/a"))).await.expect(200);
    assert_eq!(seen["spec"]["zone"], "here", "{seen}");
}

#[tokio::test]
async fn lists_and_tables_are_made_by_the_schema_that_is_in_force() {
    let (member, behind, gate) = stuck().await;
    change(&member, add_zone).await;
    let table = begun(&gate, behind.send(Method::GET, BETA, &[("accept", TABLE)], "")).await.expect(200);
    assert_eq!(table["columnDefinitions"][1]["name"], "Zone", "{table}");
    assert_eq!(table["rows"][0]["cells"], json!(["a", "here"]));
}

#[tokio::test]
async fn what_is_defined_no_more_is_not_found() {
    for path in [V1.to_owned(), format!("{V1}/a"), format!("{V1}?watch=true&timeoutSeconds=1")] {
        let (member, behind, gate) = stuck().await;
        delete_definition(&member).await;
        let missing = begun(&gate, behind.get(&path)).await.expect(404);
        assert_eq!(missing["message"], "the server could not find the requested resource", "{path}");
    }
}

#[tokio::test]
async fn what_a_version_was_called_is_not_found_when_it_is_served_no_more() {
    let (member, behind, gate) = stuck().await;
    change(&member, |definition| definition["spec"]["versions"][1]["served"] = false.into()).await;
    begun(&gate, behind.get(&format!("{BETA}/a"))).await.expect(404);
    behind.get(&format!("{V1}/a")).await.expect(200);
}

#[tokio::test]
async fn nothing_is_written_by_a_schema_that_was_replaced() {
    let (member, behind, gate) = stuck().await;
    change(&member, |definition| {
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["properties"]["replicas"]["maximum"] = 5.into();
    })
    .await;
    let own = format!("{V1}/a");
    let six = json!({"spec": {"replicas": 6}});
    let refused = begun(&gate, behind.patch(&own, "merge", &six)).await;
    assert_eq!(refused.headers["retry-after"], "1");
    refused.expect(429);
    let refused = behind.patch(&own, "merge", &six).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.replicas", "{refused}");
    assert_eq!(member.get(&own).await.expect(200)["spec"]["replicas"], 1);
    behind.patch(&own, "merge", &json!({"spec": {"replicas": 5}})).await.expect(200);
}

#[tokio::test]
async fn nothing_is_created_behind_the_end_of_a_definition() {
    let (member, behind, gate) = stuck().await;
    delete_definition(&member).await;
    begun(&gate, behind.post(V1, &cron_tab("late"))).await.expect(429);
    behind.post(V1, &cron_tab("late")).await.expect(404);
    member.get(DEFINITIONS).await.expect(200);
    let mut again = definition();
    again["metadata"]["labels"] = json!({"second": "one"});
    established(&member, &again).await;
    assert_eq!(member.get(V1).await.expect(200)["items"], json!([]));
}
