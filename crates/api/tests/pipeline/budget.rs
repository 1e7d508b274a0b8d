//! What requests in flight hold is bounded, and no user can take it all: bodies that are never sent to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::future::select_all;
use futures::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use serde_json::json;

use crate::https::{Answer, Https};
use crate::member::{Member, PATIENCE, config_map};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A body of which so much is sent, and then nothing more.
fn half_sent(bytes: usize) -> Body {
    let piece = Bytes::from(vec![b' '; bytes]);
    Body::from_stream(stream::iter([Ok::<_, std::io::Error>(piece)]).chain(stream::pending()))
}

/// So many half-sent requests over one connection each; the first answer to any of them, and the others, which go on.
async fn first_answer(clients: &mut [Https], bytes: usize) -> Answer {
    let sent = clients.iter_mut().map(|client| Box::pin(client.send(Method::POST, MAPS, half_sent(bytes))));
    select_all(sent).await.0
}

async fn clients(member: &Member, user: &(String, String), count: usize) -> Vec<Https> {
    let mut clients = Vec::new();
    for index in 0..count {
        clients.push(Https::dial(member, user, index % 2 == 0).await);
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_never_sent_to_their_end_lock_nobody_out() {
    let member = Member::start_with(|options| {
        // On their way: 32, of which 24 are users', and 12 one user's.
        options.requests_max = 8;
        options.body_timeout = FOR_EVER;
    })
    .await;
    let jane = member.authority.client_pem("jane", &[]);
    let mut held = clients(&member, &jane, 13).await;
    let mut sent: Vec<_> =
        held.iter_mut().map(|client| Box::pin(client.send(Method::POST, MAPS, half_sent(1)))).collect();
    let refused = {
        let (refused, _, rest) = select_all(sent).await;
        sent = rest;
        refused
    };
    assert_eq!(
        (refused.code, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("a value"))
    );
    assert_eq!(refused.json()["details"]["retryAfterSeconds"], 1);

    // All others have their places still, and so has she for what needs no body.
    let mut again = Https::dial(&member, &jane, true).await;
    for probe in ["/livez", "/readyz", "/healthz", "/livez/ping", "/readyz/caches", "/healthz/ping"] {
        assert_eq!(again.get(probe).await.text, "ok", "{probe}");
    }
    assert_eq!(again.get("/livez/nothing").await.code, 404);
    assert_eq!(again.get(MAPS).await.code, 403);
    assert_eq!(again.send(Method::POST, MAPS, "{}").await.code, 429);
    let joe = member.authority.client_pem("joe", &[]);
    assert_eq!(Https::dial(&member, &joe, true).await.send(Method::POST, MAPS, "{}").await.code, 403);
    let mut admin = Https::administrator(&member).await;
    let made = admin.send(Method::POST, MAPS, config_map("a", "web").to_string()).await;
    assert_eq!(made.code, 201, "{made:?}");

    // Whoever goes gives its places back.
    drop(sent);
    drop(held);
    let back = async {
        while again.send(Method::POST, MAPS, "{}").await.code != 403 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("the places are free again");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_bodies_are_taken_from_a_budget() {
    const MIB: usize = 1 << 20;
    let member = Member::start_with(|options| {
        // 12 are users', and 6 one user's.
        options.in_flight_bytes_max = 16 * MIB;
        options.body_timeout = FOR_EVER;
    })
    .await;
    let jane = member.authority.client_pem("jane", &[]);
    let mut held = clients(&member, &jane, 4).await;
    let refused = first_answer(&mut held, 2 * MIB).await;
    assert_eq!(
        (refused.code, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("a value"))
    );
    assert!(refused.json()["message"].as_str().is_some_and(|why| why.contains("memory")), "{refused:?}");

    // What is said of a length takes nothing, and others have memory of their own.
    let mut admin = Https::administrator(&member).await;
    let large = json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(MIB / 2)}});
    let made = admin.send(Method::POST, MAPS, large.to_string()).await;
    assert_eq!(made.code, 201, "{made:?}");
    assert_eq!(admin.get(&format!("{MAPS}/large")).await.code, 200);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_has_its_time() {
    let member = Member::start_with(|options| options.body_timeout = Duration::from_millis(50)).await;
    let mut admin = Https::administrator(&member).await;
    let late = admin.send(Method::POST, MAPS, half_sent(1)).await;
    assert_eq!(late.code, StatusCode::REQUEST_TIMEOUT, "{late:?}");
    assert_eq!(late.json()["reason"], "Timeout");
    member.stop().await;
}

/// Refused before they are read to their end, over the protocol where an early answer was lost: the client gets to send all of its
/// body, for many read no answer before, or take a stream that is reset for a failed one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_that_is_refused_is_still_answered() {
    let member = Member::start().await;
    let mut admin = Https::administrator(&member).await;
    for (path, code) in [(MAPS, 413), ("/apis/nobody/v1/things", 404), ("/version", 405)] {
        let sent = Arc::new(AtomicBool::new(false));
        let end = sent.clone();
        let pieces = stream::iter((0..256).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 16 << 10]))));
        let last = stream::once(async move {
            end.store(true, Ordering::SeqCst);
            Ok(Bytes::from_static(b" "))
        });
        let answer = admin.send(Method::POST, path, Body::from_stream(pieces.chain(last))).await;
        assert_eq!(answer.code, code, "{path}: {answer:?}");
        let all = async {
            while !sent.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{path}: the body is cut off"));
    }
    member.stop().await;
}
