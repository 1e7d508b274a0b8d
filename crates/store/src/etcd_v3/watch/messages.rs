//! Watch responses as bytes: a head of their own, and events that were encoded once for all.

use bytes::Bytes;
use keelson_proto::etcdserverpb::WatchResponse;
use prost::Message as _;
use tonic::Status;

use crate::etcd_v3::reply;

/// A whole message. `head` has everything but the events, whose field has the highest number and so comes last.
pub(super) fn message(head: &WatchResponse, events: &[Bytes]) -> Result<Bytes, Status> {
    let events_len: usize = events.iter().map(Bytes::len).sum();
    let mut message = reply::message_with_room(head.encoded_len() + events_len);
    head.encode(&mut message).map_err(|error| Status::internal(error.to_string()))?;
    for event in events {
        message.extend_from_slice(event);
    }
    reply::seal(message)
}

/// Cuts `events` into messages below `bytes_max`, as etcd cuts them: all but the last have `fragment` set, and an event is
/// never cut, so that a message with a single event may be larger.
pub(super) fn fragments(
    head: &WatchResponse,
    mut events: &[Bytes],
    bytes_max: usize,
    mut each: impl FnMut(Bytes),
) -> Result<(), Status> {
    let marked = WatchResponse { fragment: true, ..head.clone() };
    let mut left: usize = events.iter().map(Bytes::len).sum();
    while events.len() > 1 && head.encoded_len() + left >= bytes_max {
        let mut bytes = marked.encoded_len();
        let fit = events.iter().take_while(|event| {
            bytes += event.len();
            bytes < bytes_max
        });
        // What is marked must be followed by another.
        let count = fit.count().clamp(1, events.len() - 1);
        let (fragment, rest) = events.split_at(count);
        left -= fragment.iter().map(Bytes::len).sum::<usize>();
        each(message(&marked, fragment)?);
        events = rest;
    }
    each(message(head, events)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use keelson_proto::mvccpb::{Event, KeyValue};

    use super::*;
    use crate::watch::encode;

    fn events(sizes: &[usize]) -> Vec<Event> {
        let of_size = |(i, size): (usize, &usize)| Event {
            kv: Some(KeyValue { mod_revision: i as i64 + 1, value: vec![b'x'; *size].into(), ..Default::default() }),
            ..Default::default()
        };
        sizes.iter().enumerate().map(of_size).collect()
    }

    fn decode(message: &Bytes) -> WatchResponse {
        assert_eq!(reply::prefix(message.len() - reply::PREFIX_LEN).expect("short"), message[..reply::PREFIX_LEN]);
        WatchResponse::decode(&message[reply::PREFIX_LEN..]).expect("a response")
    }

    #[test]
    fn a_message_decodes_as_the_response_that_it_stands_for() {
        let head = WatchResponse { watch_id: 7, ..Default::default() };
        let events = events(&[0, 3, 300]);
        let encoded: Vec<Bytes> = events.iter().map(encode).collect();
        let message = message(&head, &encoded).expect("short enough");
        assert_eq!(decode(&message), WatchResponse { events: events.clone(), ..head.clone() });
        let at_once = WatchResponse { events, ..head }.encode_to_vec();
        assert_eq!(message[reply::PREFIX_LEN..], at_once, "not as a generated encoder writes it");
    }

    #[test]
    fn fragments_keep_order_stay_below_the_limit_and_only_the_last_is_not_marked() {
        for (sizes, expected) in [
            (&[10, 10, 10][..], &[3][..]),
            (&[400, 400, 400, 400], &[2, 2]),
            (&[2000, 10, 10, 2000], &[1, 2, 1]),
            (&[5000], &[1]),
        ] {
            let head = WatchResponse { watch_id: 7, ..Default::default() };
            let events = events(sizes);
            let encoded: Vec<Bytes> = events.iter().map(encode).collect();
            let mut pieces = Vec::new();
            fragments(&head, &encoded, 1000, |message| pieces.push(decode(&message))).expect("short enough");
            let lengths: Vec<usize> = pieces.iter().map(|piece| piece.events.len()).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
            let marks: Vec<bool> = pieces.iter().map(|piece| piece.fragment).collect();
            assert_eq!(marks.iter().filter(|mark| !**mark).count(), 1);
            assert_eq!(marks.last(), Some(&false));
            assert!(pieces.iter().all(|piece| piece.watch_id == 7));
            assert!(pieces.iter().all(|piece| piece.events.len() == 1 || piece.encoded_len() < 1000));
            let joined: Vec<Event> = pieces.into_iter().flat_map(|piece| piece.events).collect();
            assert_eq!(joined, events);
        }
    }
}
