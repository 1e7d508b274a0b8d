//! Bodies that are made while they are sent: lists, watches and logs.
//!
//! **Invariant**: a body holds one step of what it sends, whatever the size of the list and however slowly the client
//! reads. Nothing runs ahead of the connection.

mod protobuf;
mod yaml;

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::HeaderValue;
use jiff::Timestamp;
use keelson_types::status::Status;

use super::frames::Frames;
use super::media::Media;
use super::respond;
use super::view::{ListMeta, View, event_line};
use crate::pipeline::{ChangeKind, Items, List, LogStream, Watch, WatchItem};

/// Objects that one step of a list renders.
const STEP_OBJECTS_MAX: usize = 500;
/// How long the head of an answer waits for a node's refusal, which could not be told behind it.
const FIRST_LINES_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of their stored text.
const STEP_BYTES_MAX: usize = 256 << 10;

/// Why a body breaks off. The client sees a truncated answer, the only honest one after the head is sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("an object could not be rendered")]
    Render(#[from] serde_json::Error),
    #[error("an object could not be rendered as YAML")]
    Yaml(#[from] serde_norway::Error),
    #[error("an object could not be rendered as protobuf")]
    Protobuf(#[from] crate::protobuf::Error),
    #[error("the log ended: {0}")]
    Log(Status),
}

/// A list in the form of the view.
pub(super) fn list(view: View, list: List) -> Response {
    let meta = ListMeta {
        resource_version: list.resource_version,
        continue_token: list.continue_token,
        remaining: list.remaining,
    };
    if view.media == Media::Protobuf {
        return protobuf::list(view, meta, list.items);
    }
    let content_type = view.media.content_type();
    let walk = Walk { view, meta: Some(meta), items: list.items, sent: 0, now: Timestamp::now() };
    let steps = stream::unfold(Some(walk), |walk| async move {
        let mut walk = walk?;
        match walk.step() {
            Ok((frames, more)) => Some((Ok(frames), more.then_some(walk))),
            Err(error) => {
                tracing::error!(%error, kind = walk.view.kind.kind, "a list broke off");
                Some((Err(error), None))
            }
        }
    });
    respond::streamed(content_type, steps)
}

struct Walk {
    view: View,
    /// Until the list's head is sent.
    meta: Option<ListMeta>,
    items: Items,
    sent: usize,
    /// One instant for all ages in the list.
    now: Timestamp,
}

impl Walk {
    /// The next frames, and whether there are more.
    fn step(&mut self) -> Result<(Vec<Bytes>, bool), Error> {
        let mut frames = Frames::default();
        let is_yaml = self.view.media == Media::Yaml;
        if let Some(meta) = self.meta.take() {
            if is_yaml {
                yaml::open(&self.view, &meta, &mut frames)?;
            } else {
                self.view.list_open(&meta, &mut frames)?;
            }
        }
        let objects = self.items.chunk(STEP_OBJECTS_MAX, STEP_BYTES_MAX);
        for object in &objects {
            let first = self.sent == 0;
            if is_yaml {
                yaml::item(&self.view, object.json(), first, self.now, &mut frames)?;
            } else {
                self.view.list_item(object.json(), first, self.now, &mut frames)?;
            }
            self.sent += 1;
        }
        let more = !objects.is_empty();
        match (more, is_yaml) {
            (true, _) => {}
            (false, true) => yaml::close(self.sent == 0, &mut frames),
            (false, false) => self.view.list_close(&mut frames),
        }
        Ok((frames.take(), more))
    }
}

/// A watch in the form of the view: one JSON document a line, or one protobuf message behind its length.
///
/// `annotate` says whether the client asked for the bookmark after the initial events to be marked.
pub(super) fn watch(view: View, watch: Watch, annotate: bool) -> Response {
    let content_type = view.media.content_type_of_watch();
    let follow = Follow { view, watch, annotate, first: true };
    let steps = stream::unfold(Some(follow), |follow| async move {
        let mut follow = follow?;
        let item = follow.watch.next().await?;
        let mut frames = Frames::default();
        let (rendered, last) = match item {
            Ok(item) => (follow.render(&item, &mut frames), false),
            Err(status) => (follow.error(&status, &mut frames), true),
        };
        match rendered {
            Ok(()) => Some((Ok(frames.take()), (!last).then_some(follow))),
            Err(error) => {
                tracing::error!(%error, kind = follow.view.kind.kind, "a watch broke off");
                Some((Err(error), None))
            }
        }
    });
    respond::live(content_type, steps)
}

struct Follow {
    view: View,
    watch: Watch,
    annotate: bool,
    /// No event has been sent yet.
    first: bool,
}

impl Follow {
    fn render(&mut self, item: &WatchItem, frames: &mut Frames) -> Result<(), Error> {
        let binary = self.view.media == Media::Protobuf;
        match item {
            WatchItem::Changes { changes, .. } => {
                let now = Timestamp::now();
                for change in changes {
                    let event = match change.kind {
                        ChangeKind::Added => "ADDED",
                        ChangeKind::Modified => "MODIFIED",
                        ChangeKind::Deleted => "DELETED",
                    };
                    let first = std::mem::take(&mut self.first);
                    if binary {
                        protobuf::event(&self.view, event, change.object.json(), now, frames)?;
                    } else {
                        self.view.event(event, change.object.json(), first, now, frames)?;
                    }
                }
            }
            WatchItem::Bookmark { revision, initial_events_end } => {
                let bookmark = self.view.bookmark(*revision, *initial_events_end && self.annotate);
                if binary {
                    protobuf::document_event("BOOKMARK", &bookmark, frames)?;
                } else {
                    event_line("BOOKMARK", &bookmark, frames)?;
                }
            }
        }
        Ok(())
    }

    fn error(&self, status: &Status, frames: &mut Frames) -> Result<(), Error> {
        let status = serde_json::to_value(status)?;
        if self.view.media == Media::Protobuf {
            protobuf::document_event("ERROR", &status, frames)
        } else {
            Ok(event_line("ERROR", &status, frames)?)
        }
    }
}

/// A container's log as plain text.
///
/// # Errors
/// When the node refuses before it has sent anything.
pub(super) async fn logs(mut log: LogStream) -> Result<Response, Status> {
    // A log may have nothing to say yet; then the answer begins without it.
    let (first, log) = match tokio::time::timeout(FIRST_LINES_WITHIN, log.next()).await {
        Ok(Some(lines)) => (Some(lines?), Some(log)),
        Ok(None) => (None, None),
        Err(_nothing_yet) => (None, Some(log)),
    };
    let rest = stream::unfold(log, |log| async move {
        let mut log = log?;
        match log.next().await? {
            Ok(lines) => Some((Ok(vec![lines]), Some(log))),
            Err(status) => {
                tracing::warn!(%status, "a log broke off");
                Some((Err(Error::Log(status)), None))
            }
        }
    });
    let steps = stream::iter(first.map(|lines| Ok(vec![lines]))).chain(rest);
    Ok(respond::live(HeaderValue::from_static("text/plain"), steps))
}
