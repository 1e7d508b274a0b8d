//! Where a reflector is with its watch, as a pure state machine.
//!
//! ```text
//! Fresh ──opened──▶ Initial ──initial_events_end──▶ Live ◀─┐
//!   ▲                  │ broke                       │ broke: resume after `revision`
//!   └──────────────────┴────────── expired ──────────┴─────┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::Object;

use crate::{Batch, Event, Key};

/// Where a reflector is.
#[derive(Debug)]
pub(super) enum State<K> {
    /// Nothing is known, or what is known is too old to resume: the next watch starts with everything.
    Fresh,
    /// The watch sends what exists. It is kept apart until it is complete.
    Initial { received: HashMap<Key, Arc<K>> },
    /// The cache is complete up to `revision`.
    Live { revision: i64 },
}

/// What to do to the cache.
#[derive(Debug)]
pub(super) enum Effect<K> {
    Nothing,
    Replace { objects: HashMap<Key, Arc<K>>, revision: i64 },
    Apply { events: Vec<Event<K>>, revision: i64 },
}

/// The server broke the protocol; the watch must be opened again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the revision {0:?} is not a number")]
pub(super) struct InvalidRevision(String);

impl<K: Object> State<K> {
    /// The revision to resume after; empty to start with everything.
    pub fn resume_from(&self) -> String {
        match self {
            Self::Fresh | Self::Initial { .. } => String::new(),
            Self::Live { revision } => revision.to_string(),
        }
    }

    /// A watch was opened with [`State::resume_from`].
    pub fn opened(&mut self) {
        match self {
            Self::Fresh | Self::Initial { .. } => *self = Self::Initial { received: HashMap::new() },
            Self::Live { .. } => {}
        }
    }

    /// The watch ended or broke.
    pub fn broke(&mut self) {
        match self {
            Self::Fresh | Self::Initial { .. } => *self = Self::Fresh,
            Self::Live { .. } => {}
        }
    }

    /// The revision to resume after is compacted.
    pub fn expired(&mut self) {
        *self = Self::Fresh;
    }

    /// The watch delivered.
    pub fn received(&mut self, batch: Batch<K>) -> Result<Effect<K>, InvalidRevision> {
        match self {
            Self::Fresh => Ok(Effect::Nothing),
            Self::Initial { received } => {
                for event in batch.events {
                    let key = Key::of(event.object());
                    match event {
                        Event::Added(object) | Event::Modified(object) => received.insert(key, Arc::new(object)),
                        Event::Deleted(_) => received.remove(&key),
                    };
                }
                if !batch.initial_events_end {
                    return Ok(Effect::Nothing);
                }
                let revision = parse(batch.resource_version)?;
                let objects = std::mem::take(received);
                *self = Self::Live { revision };
                Ok(Effect::Replace { objects, revision })
            }
            Self::Live { revision } => {
                let reached = parse(batch.resource_version)?;
                // A server must not go back; should it, the cache stays at what it has seen.
                *revision = reached.max(*revision);
                Ok(Effect::Apply { events: batch.events, revision: *revision })
            }
        }
    }
}

fn parse(revision: String) -> Result<i64, InvalidRevision> {
    revision.parse().map_err(|_| InvalidRevision(revision))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn map(name: &str) -> ConfigMap {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn batch(events: Vec<Event<ConfigMap>>, revision: &str, initial_events_end: bool) -> Batch<ConfigMap> {
        Batch { events, resource_version: revision.to_owned(), initial_events_end }
    }

    #[test]
    fn what_exists_is_kept_apart_until_it_is_complete() {
        let mut state = State::Fresh;
        assert_eq!(state.resume_from(), "");
        state.opened();
        let added = vec![Event::Added(map("a")), Event::Added(map("b"))];
        assert!(matches!(state.received(batch(added, "", false)), Ok(Effect::Nothing)));
        let rest = vec![Event::Deleted(map("b")), Event::Added(map("c"))];
        let Ok(Effect::Replace { objects, revision: 7 }) = state.received(batch(rest, "7", true)) else {
            panic!("the list is complete")
        };
        let mut names: Vec<String> = objects.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(state.resume_from(), "7");
    }

    #[test]
    fn a_break_resumes_when_live_and_starts_over_before() {
        let mut state: State<ConfigMap> = State::Initial { received: HashMap::new() };
        state.broke();
        assert!(matches!(state, State::Fresh));
        let mut state: State<ConfigMap> = State::Live { revision: 7 };
        state.broke();
        state.opened();
        assert_eq!(state.resume_from(), "7");
        state.expired();
        assert_eq!(state.resume_from(), "");
    }

    #[test]
    fn a_bookmark_moves_the_revision_and_nothing_moves_it_back() {
        let mut state: State<ConfigMap> = State::Live { revision: 7 };
        assert!(matches!(state.received(batch(vec![], "9", false)), Ok(Effect::Apply { revision: 9, .. })));
        assert!(matches!(state.received(batch(vec![], "8", false)), Ok(Effect::Apply { revision: 9, .. })));
        assert_eq!(state.received(batch(vec![], "x", false)).err(), Some(InvalidRevision("x".to_owned())));
    }
}
