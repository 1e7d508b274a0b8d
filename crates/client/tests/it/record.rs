//! Batches and events, as they reach a member.

use k8s_openapi::api::core::v1::Pod;
use keelson_client::events::{Recorder, Type};
use keelson_client::{DeleteOptions, Operation};
use serde_json::from_value;
use tokio::time::timeout;
use tonic::Code;

use crate::fake::{Answer, Member, PATIENCE, client, pod, reason};

#[tokio::test]
async fn a_batch_carries_its_fence_and_its_author() {
    let member = Member::start().await;
    member.played.answer(Answer::Object(pod("a", 12)));
    member.played.answer(Answer::Refuse(reason(Code::FailedPrecondition, "Fenced")));
    let client = client(&[member.address]).with_field_manager("scheduler").with_fence(7);
    let object: Pod = from_value(pod("a", 1)).expect("the fixture is a pod");
    let operations = vec![
        Operation::create(&object).expect("it has a JSON form"),
        Operation::delete::<Pod>("default", "b", &DeleteOptions::uid("uid-b")),
        Operation::bind("default", "c", "uid-c", "node-1"),
    ];
    let result = client.write(operations.clone()).await.expect("the member answers");
    assert_eq!(result.resource_version, "12");
    let created: Option<Pod> = result.object(0).expect("it is a pod");
    assert_eq!(created.and_then(|pod| pod.metadata.resource_version).as_deref(), Some("12"));
    assert!(result.object::<Pod>(1).expect("it is empty").is_none());
    assert!(result.object::<Pod>(2).expect("it is not there").is_none());
    assert!(client.write(operations).await.expect_err("another one leads").is_fenced());
    assert_eq!(member.played.calls(), ["write 3 by scheduler in term 7"; 2]);
}

#[tokio::test]
async fn an_event_that_happens_again_is_counted() {
    let member = Member::start().await;
    for _ in 0..2 {
        member.played.answer(Answer::Object(event()));
    }
    // The event was collected meanwhile, so it is created again.
    member.played.answer(Answer::Refuse(reason(Code::NotFound, "NotFound")));
    member.played.answer(Answer::Object(event()));
    let recorder = Recorder::start(client(&[member.address]), "keelson-scheduler", "");
    let object: Pod = from_value(pod("a", 1)).expect("the fixture is a pod");
    for _ in 0..3 {
        recorder.event(&object, Type::Warning, "FailedScheduling", "no room");
    }
    timeout(PATIENCE, member.played.called(4)).await.expect("the events are written");
    let calls = member.played.calls();
    let name = calls[0].strip_prefix("create ").expect("the first is created");
    assert!(name.starts_with("a."), "{name}");
    let expected = [
        format!("create {name}"),
        format!("patch {name} count 2"),
        format!("patch {name} count 3"),
        format!("create {name}"),
    ];
    assert_eq!(calls, expected);
    assert_eq!(recorder.dropped(), 0);
}

#[tokio::test]
async fn a_recorder_that_cannot_keep_up_drops_and_counts() {
    let recorder = Recorder::disabled();
    let object: Pod = from_value(pod("a", 1)).expect("the fixture is a pod");
    recorder.event(&object, Type::Normal, "Scheduled", "on node-1");
    assert_eq!(recorder.dropped(), 1);
}

fn event() -> serde_json::Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {}})
}
