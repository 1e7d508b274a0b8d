//! What is tried again, where, and what a caller is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use keelson_client::{Client, Error, ListOptions, Options, proto};
use serde_json::from_value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::fake::{Answer, Member, PATIENCE, client, dead_address, pod, reason, refusal};

fn new_pod(name: &str) -> Pod {
    from_value(pod(name, 1)).expect("the fixture is a pod")
}

#[tokio::test]
async fn a_dead_member_is_passed_over_and_the_living_one_remembered() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (dead_address, member) = (dead.local_addr().expect("it is bound"), Member::start().await);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((connection, _)) = dead.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    member.played.answer(Answer::Object(pod("a", 1)));
    member.played.answer(Answer::Object(pod("a", 2)));
    let client = client(&[dead_address, member.address]);
    let first: Pod = client.get("default", "a").await.expect("the second member answers");
    assert_eq!(first.metadata.resource_version.as_deref(), Some("1"));
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0, "the first member comes first");
    client.get::<Pod>("default", "a").await.expect("the second member answers");
    assert_eq!(asked.load(Ordering::SeqCst), before, "the dead member was asked again");
}

#[tokio::test]
async fn a_read_moves_on_whatever_went_wrong() {
    let (first, second) = (Member::start().await, Member::start().await);
    for status in [
        reason(Code::Unavailable, "ServiceUnavailable"),
        Status::unavailable("a proxy says so"),
        reason(Code::Unknown, "UnknownOutcome"),
    ] {
        // After a success the second member is preferred: fail it first, then the first one.
        let client = client(&[first.address, second.address]);
        first.played.answer(Answer::Refuse(status));
        second.played.answer(Answer::Object(pod("a", 1)));
        client.get::<Pod>("default", "a").await.expect("the second member answers");
    }
    assert_eq!(second.played.calls().len(), 3);
}

#[tokio::test]
async fn a_write_that_surely_was_not_done_moves_on() {
    let (dead, first, second) = (dead_address().await, Member::start().await, Member::start().await);
    first.played.answer(Answer::Refuse(reason(Code::Unavailable, "ServiceUnavailable")));
    second.played.answer(Answer::Object(pod("a", 1)));
    let client = client(&[dead, first.address, second.address]);
    client.create(&new_pod("a")).await.expect("the third member answers");
    assert_eq!(first.played.calls(), ["create a"]);
    assert_eq!(second.played.calls(), ["create a"]);
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_unknown_and_not_repeated() {
    for status in [
        reason(Code::Unknown, "UnknownOutcome"),
        reason(Code::DeadlineExceeded, "Timeout"),
        Status::unavailable("a proxy says so"),
    ] {
        let (first, second) = (Member::start().await, Member::start().await);
        first.played.answer(Answer::Refuse(status));
        let error = client(&[first.address, second.address]).create(&new_pod("a")).await.expect_err("it is not known");
        assert!(error.is_unknown(), "{error:?}");
        assert!(second.played.calls().is_empty());
    }
}

#[tokio::test]
async fn a_write_on_a_connection_that_breaks_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let marker = "the-object-is-on-its-way";
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(marker) {
            assert_ne!(stream.read_buf(&mut received).await.expect("the client writes"), 0);
        }
    });
    let error = client(&[address]).create(&new_pod(marker)).await.expect_err("nobody answers");
    assert!(error.is_unknown(), "{error:?}");
    breaking.await.expect("the object arrived");
}

#[tokio::test]
async fn a_write_that_is_not_answered_in_time_is_unknown() {
    let member = Member::start().await;
    member.played.answer(Answer::Hang);
    let options = Options { request_timeout: Duration::from_millis(200), ..Options::new([member.address.to_string()]) };
    let client = Client::connect(options).expect("the options are valid");
    let error = client.create(&new_pod("a")).await.expect_err("nobody answers");
    assert!(error.is_unknown(), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_told_as_kubernetes_tells_it_and_by_one_member_only() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.answer(Answer::Refuse(refusal(
        Code::InvalidArgument,
        proto::Status {
            reason: "Invalid".into(),
            message: "Pod \"a\" is invalid".into(),
            code: 422,
            kind: "Pod".into(),
            name: "a".into(),
            causes: vec![proto::status::Cause {
                reason: "FieldValueRequired".into(),
                message: "Required value".into(),
                field: "spec.containers".into(),
            }],
            r#continue: "on".into(),
            ..Default::default()
        },
    )));
    let error = client(&[first.address, second.address]).create(&new_pod("a")).await.expect_err("it is refused");
    let status = error.status().expect("the API refused");
    assert_eq!((status.code, status.message.as_str()), (422, "Pod \"a\" is invalid"));
    assert_eq!(&*status.continue_token, "on");
    let details = status.details.as_deref().expect("it has details");
    assert_eq!((details.kind.as_str(), details.causes[0].field.as_str()), ("Pod", "spec.containers"));
    assert!(error.is_invalid() && second.played.calls().is_empty());
}

#[tokio::test]
async fn nobody_at_home_is_told_soon_with_the_addresses() {
    let (first, second) = (dead_address().await, dead_address().await);
    let started = Instant::now();
    let error = client(&[first, second]).create(&new_pod("a")).await.expect_err("nobody answers");
    let Error::Unavailable { endpoints, source } = &error else { panic!("{error:?}") };
    assert_eq!(*endpoints, format!("{first}, {second}"));
    assert!(source.is_some());
    assert!(started.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn a_list_that_breaks_half_way_starts_over_elsewhere() {
    let (first, second) = (Member::start().await, Member::start().await);
    first.played.answer(Answer::Object(pod("a", 1)));
    first.played.answer(Answer::Refuse(Status::unavailable("broken")));
    second.played.answer(Answer::Object(pod("a", 1)));
    second.played.answer(Answer::Object(pod("b", 2)));
    let list = client(&[first.address, second.address]).list::<Pod>("", &ListOptions::default()).await;
    let list = list.expect("the second member answers");
    let names: Vec<_> = list.items.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    assert_eq!((names, list.resource_version.as_str()), (vec!["a", "b"], "7"));
}

#[tokio::test]
async fn a_missing_object_is_none() {
    let member = Member::start().await;
    member.played.answer(Answer::Refuse(reason(Code::NotFound, "NotFound")));
    let pod: Option<Pod> = client(&[member.address]).get_opt("default", "a").await.expect("the member answers");
    assert!(pod.is_none());
}
