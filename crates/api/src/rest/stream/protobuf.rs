//! Lists and events as protobuf.
//!
//! A message stands behind its length, and a list is one message, so that its length must be known before the first item is
//! sent. The list is walked twice, therefore: once to measure, once to send. Both see the same snapshot. What fits into
//! [`KEPT_BYTES_MAX`] is kept from the first time.

use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use keelson_types::schema::Message;
use serde_json::{Value, json};

use super::super::frames::Frames;
use super::super::negotiate::Form;
use super::super::respond;
use super::super::view::{ListMeta, View};
use super::{Error, STEP_BYTES_MAX, STEP_OBJECTS_MAX};
use crate::pipeline::Items;
use crate::protobuf::{self, DOCUMENT_TAIL};

/// Encoded items that are kept between measuring and sending.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// The field of a list in which its items are.
const ITEMS: u32 = 2;

pub(super) fn list(view: View, meta: ListMeta, items: Items) -> Response {
    let content_type = view.media.content_type();
    let steps = stream::unfold(Some(State::Measure { view, meta, items }), |state| async move {
        match state?.step().await {
            Ok((frames, next)) => Some((Ok(frames), next)),
            Err(error) => {
                tracing::error!(%error, "a list broke off");
                Some((Err(error), None))
            }
        }
    });
    respond::streamed(content_type, steps)
}

enum State {
    Measure { view: View, meta: ListMeta, items: Items },
    Send { item: &'static Message, items: Items },
}

impl State {
    /// The next frames, and what comes after them.
    async fn step(self) -> Result<(Vec<Bytes>, Option<State>), Error> {
        match self {
            State::Measure { view, meta, items } => {
                let (api_version, kind, list_kind) = match view.form {
                    Form::Metadata(version) => {
                        (version.api_version().to_owned(), "PartialObjectMetadata", "PartialObjectMetadataList")
                    }
                    // Tables are not offered as protobuf.
                    Form::Object | Form::Table(_) => (view.kind.api_version(), view.kind.kind, view.kind.list_kind),
                };
                let item = protobuf::kind_of(&api_version, kind)?;
                let head = head(&meta, protobuf::kind_of(&api_version, list_kind)?)?;
                let (length, kept) = measure(items.clone(), item).await?;
                let mut frames = vec![
                    protobuf::prefixed_document_head(&api_version, list_kind, head.len() + length).into(),
                    head.into(),
                ];
                match kept {
                    Some(kept) => {
                        frames.extend([kept.into(), Bytes::from_static(DOCUMENT_TAIL)]);
                        Ok((frames, None))
                    }
                    None => Ok((frames, Some(State::Send { item, items }))),
                }
            }
            State::Send { item, mut items } => {
                let mut encoded = Vec::new();
                if !step(&mut items, item, &mut encoded)? {
                    return Ok((vec![Bytes::from_static(DOCUMENT_TAIL)], None));
                }
                Ok((vec![encoded.into()], Some(State::Send { item, items })))
            }
        }
    }
}

/// The list's own metadata, encoded.
fn head(meta: &ListMeta, of: &'static Message) -> Result<Vec<u8>, Error> {
    let mut metadata = json!({"resourceVersion": meta.resource_version.to_string(), "continue": meta.continue_token});
    if let Some(remaining) = meta.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    Ok(protobuf::message(&json!({ "metadata": metadata }), of)?)
}

/// How long all items are, encoded; and the items, when that is not long.
async fn measure(mut items: Items, of: &'static Message) -> Result<(usize, Option<Vec<u8>>), Error> {
    let (mut length, mut kept, mut encoded) = (0, Some(Vec::new()), Vec::new());
    while step(&mut items, of, &mut encoded)? {
        length += encoded.len();
        if length > KEPT_BYTES_MAX {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.append(&mut encoded);
        }
        encoded.clear();
        // Others want to run, too.
        tokio::task::yield_now().await;
    }
    Ok((length, kept))
}

/// Encodes the next few items; false when there are none.
fn step(items: &mut Items, of: &'static Message, encoded: &mut Vec<u8>) -> Result<bool, Error> {
    let objects = items.chunk(STEP_OBJECTS_MAX, STEP_BYTES_MAX);
    for object in &objects {
        let value: Value = serde_json::from_slice(object.json())?;
        encoded.extend(protobuf::message_field(ITEMS, &value, of)?);
    }
    Ok(!objects.is_empty())
}

/// An event about an object of the kind.
pub(super) fn event(view: &View, event: &str, json: &Bytes, now: Timestamp, frames: &mut Frames) -> Result<(), Error> {
    let mut rendered = Frames::default();
    view.object(json, now, &mut rendered)?;
    document_event(event, &serde_json::from_slice(&rendered.into_bytes())?, frames)
}

/// An event about any object that says its apiVersion and kind.
pub(super) fn document_event(event: &str, object: &Value, frames: &mut Frames) -> Result<(), Error> {
    let document = protobuf::document(object)?;
    frames.bytes(&protobuf::watch_event(event, &document)?);
    Ok(())
}
