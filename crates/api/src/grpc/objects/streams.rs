//! Lists and watches as streams of messages.
//!
//! **Invariant**: a stream holds one message of what it sends, whatever the size of the list and however slowly the client reads.

use std::pin::Pin;

use futures::{Stream, stream};
use keelson_proto::keelson::api::v1 as proto;
use keelson_types::status::{Reason, Status};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::grpc::convert;
use crate::pipeline::{Change, ChangeKind, List, Watch, WatchItem};
use crate::rest::shown::Shown;
use crate::status_code::{grpc, grpc_with};

/// Objects in one message of a list.
const CHUNK_MAX: usize = 500;
/// Bytes in one message: tonic's clients take 4 MiB unless told otherwise, and an object may have 1.5.
const CHUNK_BYTES_MAX: usize = 1 << 20;

pub type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

/// A list in messages of bounded size. There is always one, since it tells the revision.
pub fn chunks(list: List, shown: Shown, warnings: Vec<String>) -> Streamed<proto::ListResponse> {
    let List { resource_version, continue_token, remaining, items } = list;
    let resource_version = resource_version.to_string();
    // What only the first tells, while it is still to come.
    let head = Some((convert::columns(shown.columns()), warnings));
    let state = Some((items.chunked(), head));
    Box::pin(stream::unfold(state, move |state| {
        let next = state.and_then(|(mut items, head)| {
            let (chunk, last) = items.take(CHUNK_MAX, CHUNK_BYTES_MAX);
            if chunk.is_empty() && head.is_none() {
                return None;
            }
            let (columns, warnings) = head.unwrap_or_default();
            let objects = chunk.iter().map(|object| shown.object(object.json()).map(|json| proto::Object { json }));
            let response = objects.collect::<Result<Vec<_>, Status>>().map(|objects| proto::ListResponse {
                objects,
                resource_version: resource_version.clone(),
                r#continue: if last { continue_token.clone() } else { String::new() },
                remaining: remaining.filter(|_| last),
                columns,
                warnings,
            });
            let going_on = response.is_ok().then_some((items, None));
            Some((response.map_err(|status| grpc(&status)), going_on))
        });
        std::future::ready(next)
    }))
}

/// A watch that is followed.
struct Following {
    watch: Watch,
    shown: Shown,
    /// What only the first message tells, while it is still to come.
    head: Option<(Vec<proto::Column>, Vec<String>)>,
    shutdown: CancellationToken,
}

/// A watch in messages of whole revisions.
pub fn events(
    watch: Watch,
    shown: Shown,
    warnings: Vec<String>,
    shutdown: CancellationToken,
) -> Streamed<proto::WatchResponse> {
    let head = Some((convert::columns(shown.columns()), warnings));
    let following = Following { watch, shown, head, shutdown };
    Box::pin(stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        match following.watch.next().await {
            Some(Ok(item)) => match following.response(item) {
                Ok(response) => Some((Ok(response), Some(following))),
                Err(status) => Some((Err(grpc(&status)), None)),
            },
            Some(Err(status)) => {
                // The stream can be resumed, elsewhere if need be.
                let error = match status.reason {
                    Reason::Expired | Reason::Gone => grpc(&status),
                    _ => grpc_with(Code::Unavailable, &status),
                };
                Some((Err(error), None))
            }
            None if following.shutdown.is_cancelled() => {
                let status = Status::unavailable("this member is stopping; watch another");
                Some((Err(grpc(&status)), None))
            }
            // Its time is over.
            None => None,
        }
    }))
}

impl Following {
    fn response(&mut self, item: WatchItem) -> Result<proto::WatchResponse, Status> {
        use proto::watch_response::{Event, Type};
        let (columns, warnings) = self.head.take().unwrap_or_default();
        let (events, revision, initial_events_end) = match item {
            WatchItem::Changes { revision, changes } => {
                let events = changes.iter().map(|change| self.event(change));
                (events.collect::<Result<Vec<_>, Status>>()?, revision, false)
            }
            WatchItem::Bookmark { revision, initial_events_end } => {
                (vec![Event { r#type: Type::Bookmark as i32, object: None }], revision, initial_events_end)
            }
        };
        let resource_version = revision.to_string();
        Ok(proto::WatchResponse { events, resource_version, initial_events_end, columns, warnings })
    }

    fn event(&self, change: &Change) -> Result<proto::watch_response::Event, Status> {
        use proto::watch_response::{Event, Type};
        let r#type = match change.kind {
            ChangeKind::Added => Type::Added,
            ChangeKind::Modified => Type::Modified,
            ChangeKind::Deleted => Type::Deleted,
        };
        let json = self.shown.object(change.object.json())?;
        Ok(Event { r#type: r#type as i32, object: Some(proto::Object { json }) })
    }
}
