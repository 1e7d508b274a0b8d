//! One stream of watchers, each of which must see the events of its prefix once and in the order of their revisions.

use std::rc::Rc;
use std::time::Instant;

use bytes::Buf as _;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use prost::Message as _;

use super::super::keys;
use super::board::Board;
use super::writer::prefix;
use crate::wire::{Connection, Failure, Method, Stream, frame};

/// Watches one prefix after the other on one stream, until the task is ended.
pub async fn watch(mut connection: Connection, board: Rc<Board>, prefixes: Vec<usize>) -> Result<(), Failure> {
    let mut newest = vec![0; prefixes.len()];
    let mut stream: Option<Stream> = None;
    for (watcher, number) in prefixes.into_iter().enumerate() {
        let prefix = prefix(number);
        let create = WatchCreateRequest {
            range_end: keys::end_of(&prefix),
            key: prefix.into(),
            // Above 0, which would let the server choose.
            watch_id: watcher as i64 + 1,
            ..WatchCreateRequest::default()
        };
        let request = frame(&WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
        match &mut stream {
            Some(stream) => stream.send(request)?,
            None => stream = Some(connection.stream(Method::Watch, request)?),
        }
    }
    let Some(mut stream) = stream else { return Ok(()) };
    while let Some(answer) = stream.next().await? {
        let answer = WatchResponse::decode(answer)?;
        if answer.canceled {
            return Err(Failure::Answer("a watcher was cancelled"));
        }
        if answer.created {
            board.create();
        }
        let index = usize::try_from(answer.watch_id - 1).unwrap_or(usize::MAX);
        let newest = newest.get_mut(index).ok_or(Failure::Answer("an event for nobody"))?;
        let now = Instant::now();
        for event in answer.events {
            let pair = event.kv.unwrap_or_default();
            if pair.mod_revision <= *newest {
                board.count_disorder();
                continue;
            }
            *newest = pair.mod_revision;
            let mut value = pair.value;
            let number = value.try_get_u64().map_err(|_| Failure::Answer("an event without its value"))?;
            // Of an earlier run, on a watcher that began from now on: it must not be here.
            if !board.receive(number as usize, now) {
                return Err(Failure::Answer("an event of another time"));
            }
        }
        board.announce();
    }
    Err(Failure::Answer("the stream ended"))
}
