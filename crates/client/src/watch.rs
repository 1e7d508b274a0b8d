//! A stream of changes, decoded.

use std::marker::PhantomData;
use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::watch_response::Type;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::error::{Refusal, decode, refusal};
use crate::transport::Transport;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T = Value> {
    Added(T),
    Modified(T),
    /// The last state, with the revision of the deletion.
    Deleted(T),
}

impl<T> Event<T> {
    pub fn object(&self) -> &T {
        let (Self::Added(object) | Self::Modified(object) | Self::Deleted(object)) = self;
        object
    }

    pub fn object_mut(&mut self) -> &mut T {
        let (Self::Added(object) | Self::Modified(object) | Self::Deleted(object)) = self;
        object
    }

    pub fn into_object(self) -> T {
        let (Self::Added(object) | Self::Modified(object) | Self::Deleted(object)) = self;
        object
    }
}

/// The changes of whole revisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T = Value> {
    /// Empty in a bookmark.
    pub events: Vec<Event<T>>,
    /// The stream is complete up to here; resume from it.
    pub resource_version: String,
    /// Everything that existed when the watch began has been sent.
    pub initial_events_end: bool,
}

/// An open watch.
pub struct Watch<T = Value> {
    stream: tonic::Streaming<proto::WatchResponse>,
    transport: Arc<Transport>,
    what: String,
    decoded: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Watch<T> {
    pub(crate) fn new(stream: tonic::Streaming<proto::WatchResponse>, transport: Arc<Transport>, what: String) -> Self {
        Self { stream, transport, what, decoded: PhantomData }
    }

    /// The next changes; absent when the server ended the stream in good order. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::is_expired`] when the revision to resume from is compacted; [`Error::Unavailable`] when the stream broke.
    pub async fn next(&mut self) -> Result<Option<Batch<T>>, Error> {
        match self.stream.message().await {
            Ok(Some(response)) => self.decode(response).map(Some),
            Ok(None) => Ok(None),
            Err(status) if refusal(&status) == Refusal::Final => Err(Error::Api(decode(&status))),
            Err(status) => {
                self.transport.broken();
                Err(Error::Unavailable { endpoints: self.transport.addresses(), source: Some(status) })
            }
        }
    }

    /// The stream is silent: whoever opens the next one begins with another member.
    pub(crate) fn abandon(self) {
        self.transport.broken();
    }

    fn decode(&self, response: proto::WatchResponse) -> Result<Batch<T>, Error> {
        let mut events = Vec::with_capacity(response.events.len());
        for event in response.events {
            let kind = event.r#type();
            if kind == Type::Bookmark {
                continue;
            }
            let json = event.object.ok_or(Error::Incomplete { what: "the object of an event" })?.json;
            let object =
                serde_json::from_slice(&json).map_err(|source| Error::Decode { what: self.what.clone(), source })?;
            events.push(match kind {
                Type::Added => Event::Added(object),
                Type::Modified => Event::Modified(object),
                Type::Deleted => Event::Deleted(object),
                Type::Unspecified | Type::Bookmark => return Err(Error::Incomplete { what: "the type of an event" }),
            });
        }
        Ok(Batch {
            events,
            resource_version: response.resource_version,
            initial_events_end: response.initial_events_end,
        })
    }
}
