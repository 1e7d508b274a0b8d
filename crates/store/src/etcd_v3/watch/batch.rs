//! Cuts a watch response that is too large for its client into fragments.

use std::collections::VecDeque;

use keelson_proto::etcdserverpb::WatchResponse;
use prost::Message as _;

/// What the tag and the length of one event take at most, beside the event.
const EVENT_FRAMING_BYTES: usize = 6;

/// Appends `response` to `outgoing` in pieces below `bytes_max`, as etcd cuts them: all but the last have `fragment` set,
/// and an event is never cut, so a piece with a single event may be larger.
pub(super) fn push_fragments(outgoing: &mut VecDeque<WatchResponse>, mut response: WatchResponse, bytes_max: usize) {
    if response.events.len() < 2 || response.encoded_len() < bytes_max {
        outgoing.push_back(response);
        return;
    }
    let events = std::mem::take(&mut response.events);
    let mut fragment = WatchResponse { fragment: true, ..response.clone() };
    let empty_bytes = fragment.encoded_len();
    let mut bytes = empty_bytes;
    for event in events {
        let event_bytes = event.encoded_len() + EVENT_FRAMING_BYTES;
        if !fragment.events.is_empty() && bytes + event_bytes >= bytes_max {
            let next = WatchResponse { fragment: true, ..response.clone() };
            outgoing.push_back(std::mem::replace(&mut fragment, next));
            bytes = empty_bytes;
        }
        bytes += event_bytes;
        fragment.events.push(event);
    }
    fragment.fragment = false;
    outgoing.push_back(fragment);
}

#[cfg(test)]
mod tests {
    use keelson_proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn response(sizes: &[usize]) -> WatchResponse {
        let events = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| Event {
                kv: Some(KeyValue {
                    mod_revision: i as i64 + 1,
                    value: vec![b'x'; *size].into(),
                    ..Default::default()
                }),
                ..Default::default()
            })
            .collect();
        WatchResponse { watch_id: 7, events, ..Default::default() }
    }

    #[test]
    fn fragments_keep_order_stay_below_the_limit_and_only_the_last_is_not_marked() {
        for (sizes, expected) in [
            (&[10, 10, 10][..], &[3][..]),
            (&[400, 400, 400, 400], &[2, 2]),
            (&[2000, 10, 10, 2000], &[1, 2, 1]),
            (&[5000], &[1]),
        ] {
            let mut outgoing = VecDeque::new();
            push_fragments(&mut outgoing, response(sizes), 1000);
            let lengths: Vec<usize> = outgoing.iter().map(|piece| piece.events.len()).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
            let marks: Vec<bool> = outgoing.iter().map(|piece| piece.fragment).collect();
            assert_eq!(marks.iter().filter(|mark| !**mark).count(), 1);
            assert_eq!(marks.last(), Some(&false));
            assert!(outgoing.iter().all(|piece| piece.watch_id == 7));
            assert!(outgoing.iter().all(|piece| piece.events.len() == 1 || piece.encoded_len() < 1000));
            let joined: Vec<Event> = outgoing.into_iter().flat_map(|piece| piece.events).collect();
            assert_eq!(joined, response(sizes).events);
        }
    }
}
