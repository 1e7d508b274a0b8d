use std::time::Duration;

use bytes::Bytes;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
use keelson_proto::keelson::node::v1::{Data, SessionEnd, SessionFrame};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Channel, DATA_BYTES_MAX, Frame, Full, Outcome, Sessions, WINDOW_BYTES};

const SOON: Duration = Duration::from_secs(120);

/// Two ends, each fed by what the other sends.
fn pair() -> (Sessions<SessionFrame>, Sessions<SessionFrame>) {
    let (to_right, mut from_left) = mpsc::channel(4);
    let (to_left, mut from_right) = mpsc::channel(4);
    let left = Sessions::new(to_right, |frame| frame, 2);
    let right = Sessions::new(to_left, |frame| frame, 2);
    let (feeds_left, feeds_right) = (left.clone(), right.clone());
    tokio::spawn(async move {
        while let Some(frame) = from_left.recv().await {
            feeds_right.receive(frame);
        }
    });
    tokio::spawn(async move {
        while let Some(frame) = from_right.recv().await {
            feeds_left.receive(frame);
        }
    });
    (left, right)
}

#[tokio::test]
async fn many_windows_of_bytes_arrive_in_order_and_the_end_after_them() {
    let (left, right) = pair();
    let (sender, _) = left.open(1).expect("opens");
    let (_keep, mut receiver) = right.open(1).expect("opens");
    let sent: Vec<u8> = (0..8 * WINDOW_BYTES).map(|index| (index % 251) as u8).collect();
    let copy = sent.clone();
    tokio::spawn(async move {
        sender.data(Channel::Stdout, copy.into()).await.expect("is taken");
        sender.last(Channel::Stdout).await.expect("is taken");
        sender.end(Outcome::Exited(7)).await;
    });
    let mut got = Vec::new();
    loop {
        match timeout(SOON, receiver.next()).await.expect("goes on").expect("has an end") {
            Frame::Data(Channel::Stdout, data) => got.extend_from_slice(&data),
            Frame::Last(Channel::Stdout) => assert_eq!(got.len(), sent.len()),
            Frame::End(outcome) => break assert_eq!(outcome, Outcome::Exited(7)),
            other => panic!("{other:?}"),
        }
    }
    assert!(got == sent);
}

#[tokio::test]
async fn a_session_that_nobody_reads_stalls_alone() {
    let (left, right) = pair();
    let (slow, _) = left.open(1).expect("opens");
    let (_slow_keep, _unread) = right.open(1).expect("opens");
    let more = Bytes::from(vec![0; 2 * WINDOW_BYTES]);
    let stalled = tokio::spawn(async move { slow.data(Channel::Stdout, more).await });
    let (quick, _) = left.open(2).expect("opens");
    let (_quick_keep, mut reader) = right.open(2).expect("opens");
    tokio::spawn(async move { quick.data(Channel::Stdout, vec![1; 4 * WINDOW_BYTES].into()).await });
    let mut read = 0;
    while read < 4 * WINDOW_BYTES {
        match timeout(SOON, reader.next()).await.expect("is not held up") {
            Some(Frame::Data(_, data)) => read += data.len(),
            other => panic!("{other:?}"),
        }
    }
    assert!(!stalled.is_finished(), "it may send no more than its window");
}

#[tokio::test]
async fn whoever_drops_a_session_ends_it_for_the_other() {
    let (left, right) = pair();
    let ours = left.open(1).expect("opens");
    let (sender, mut receiver) = right.open(1).expect("opens");
    drop(ours);
    assert!(matches!(timeout(SOON, receiver.next()).await, Ok(Some(Frame::End(Outcome::Failed(_))))));
    timeout(SOON, sender.closed()).await.expect("it hears of it");
    sender.data(Channel::Stdin, Bytes::from_static(b"x")).await.expect_err("is over");
    assert_eq!(receiver.next().await, None);
}

#[tokio::test]
async fn the_end_of_the_stream_ends_all_without_an_outcome() {
    let (left, _right) = pair();
    let (sender, mut receiver) = left.open(1).expect("opens");
    left.close();
    assert_eq!(timeout(SOON, receiver.next()).await, Ok(None));
    sender.last(Channel::Stdin).await.expect_err("is over");
}

#[tokio::test]
async fn what_arrived_before_the_end_of_the_stream_is_still_read() {
    let (outgoing, sent) = mpsc::channel(1);
    let end = Sessions::new(outgoing, |frame| frame, 1);
    let (_sender, mut receiver) = end.open(1).expect("opens");
    for _ in 0..4 {
        let data = Data { stream: 2, data: vec![0; DATA_BYTES_MAX - 64].into(), last: false };
        end.receive(SessionFrame { session_id: 1, frame: Some(Wire::Data(data)) });
    }
    let last = SessionEnd { exit_code: 3, error: String::new() };
    end.receive(SessionFrame { session_id: 1, frame: Some(Wire::End(last)) });
    drop(sent);
    end.close();
    for _ in 0..4 {
        assert!(matches!(timeout(SOON, receiver.next()).await, Ok(Some(Frame::Data(..)))));
    }
    assert_eq!(timeout(SOON, receiver.next()).await, Ok(Some(Frame::End(Outcome::Exited(3)))));
}

#[tokio::test]
async fn there_is_a_limit_and_a_place_comes_free() {
    let (left, _right) = pair();
    let first = left.open(1).expect("opens");
    assert!(left.open(1).is_err(), "a number is for one session");
    let _second = left.open(2).expect("opens");
    assert!(matches!(left.open(3), Err(Full)));
    drop(first);
    left.open(3).expect("has a place");
}

#[tokio::test]
async fn whoever_breaks_the_rules_loses_the_session() {
    let (outgoing, mut sent) = mpsc::channel(16);
    let end = Sessions::new(outgoing, |frame| frame, 2);
    let data = |len: usize| Wire::Data(Data { stream: 2, data: vec![0; len].into(), last: false });
    let flood = vec![data(DATA_BYTES_MAX - 64); WINDOW_BYTES / DATA_BYTES_MAX + 1];
    for (frames, fault) in [
        (flood, "credit"),
        (vec![data(DATA_BYTES_MAX + 1)], "cannot be read"),
        (vec![Wire::Data(Data { stream: 9, data: Bytes::new(), last: false })], "cannot be read"),
        (vec![Wire::Credit(1)], "credit"),
        (vec![Wire::Credit(u32::MAX)], "credit"),
    ] {
        let (_sender, mut receiver) = end.open(1).expect("opens");
        for frame in frames {
            end.receive(SessionFrame { session_id: 1, frame: Some(frame) });
        }
        let told = sent.try_recv().expect("the other side is told").frame;
        assert!(matches!(told, Some(Wire::End(_))), "{told:?}");
        let last = std::iter::from_fn(|| receiver.try_next()).last();
        assert!(
            matches!(&last, Some(Frame::End(Outcome::Failed(why))) if why.contains(fault)),
            "{last:?} names {fault:?}"
        );
    }
    end.receive(SessionFrame { session_id: 1, frame: None });
    end.receive(SessionFrame { session_id: 99, frame: Some(data(1)) });
}
