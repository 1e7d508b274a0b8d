//! Records what happened to an object, as `core/v1` Events.
//!
//! Recording never waits and never fails the caller: an event that cannot be written is dropped and counted. Equal events
//! become one with a count, similar ones are combined, and an object that makes too many is silenced for a while
//! ([`correlate`]).

mod correlate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use keelson_types::Object;
use serde_json::json;
use tokio::sync::mpsc;

use self::correlate::{Action, Correlator, Occurrence};
use crate::{Client, Error, Patch};

/// How many events may wait to be written; client-go's number.
const QUEUE_MAX: usize = 1000;
/// An event's message is cut to what the API accepts.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Whether an event is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Normal,
    Warning,
}

impl Type {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Records events of one component. Clones share one queue and one task, which ends when the last clone is dropped and
/// what waits is written.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// A recorder for `component` (`"keelson-scheduler"`) on `host`, which may be empty. Must be called inside a tokio
    /// runtime.
    pub fn start(client: Client, component: &str, host: &str) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let source =
            EventSource { component: Some(component.to_owned()), host: (!host.is_empty()).then(|| host.to_owned()) };
        tokio::spawn(write(client, source, receiver));
        Self { queue, dropped: Arc::default() }
    }

    /// A recorder that drops everything, for tests and for programs that want no events.
    pub fn disabled() -> Self {
        let (queue, _) = mpsc::channel(1);
        Self { queue, dropped: Arc::default() }
    }

    /// Records that something happened to `object`. `reason` is a word in CamelCase, `message` is for people.
    pub fn event<K: Object>(&self, object: &K, r#type: Type, reason: &str, message: impl Into<String>) {
        self.event_for(reference(object), r#type, reason, message);
    }

    /// As [`Recorder::event`], for an object that is known by reference.
    pub fn event_for(&self, object: ObjectReference, r#type: Type, reason: &str, message: impl Into<String>) {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        let occurrence = Occurrence { object, r#type, reason: reason.to_owned(), message, at: Timestamp::now() };
        if self.queue.try_send(occurrence).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A reference to `object` as events carry it.
pub fn reference<K: Object>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

async fn write(client: Client, source: EventSource, mut queue: mpsc::Receiver<Occurrence>) {
    let mut correlator = Correlator::new();
    while let Some(occurrence) = queue.recv().await {
        let Some(action) = correlator.correlate(&occurrence) else { continue };
        let namespace = namespace(&occurrence.object).to_owned();
        let written = match &action {
            Action::Create { name, message, count } => {
                let event = build(&source, &occurrence, name, message, *count);
                client.create(&event).await.map(drop)
            }
            Action::Count { name, message, count } => {
                let last = serde_json::to_value(Time(occurrence.at)).unwrap_or_default();
                let patch = json!({ "count": count, "lastTimestamp": last, "message": message });
                match client.patch::<Event>(&namespace, name, Patch::Merge(patch)).await.map(drop) {
                    // It was collected: start it anew.
                    Err(error) if error.is_not_found() => {
                        client.create(&build(&source, &occurrence, name, message, *count)).await.map(drop)
                    }
                    written => written,
                }
            }
        };
        if let Err(error) = written {
            // An event of a namespace that is going away, or one that exists after an unknown outcome, is no loss.
            let expected = error.is_forbidden() || error.is_already_exists() || matches!(error, Error::Unknown { .. });
            if expected {
                tracing::debug!(error = %error, reason = occurrence.reason, "event not written");
            } else {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    reason = occurrence.reason,
                    "event not written"
                );
            }
        }
    }
}

fn namespace(object: &ObjectReference) -> &str {
    object.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

fn build(source: &EventSource, occurrence: &Occurrence, name: &str, message: &str, count: i32) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace(&occurrence.object).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: occurrence.object.clone(),
        reason: Some(occurrence.reason.clone()),
        message: Some(message.to_owned()),
        type_: Some(occurrence.r#type.as_str().to_owned()),
        count: Some(count),
        first_timestamp: Some(Time(occurrence.at)),
        last_timestamp: Some(Time(occurrence.at)),
        source: Some(source.clone()),
        reporting_component: source.component.clone(),
        reporting_instance: source.host.clone(),
        ..Event::default()
    }
}
