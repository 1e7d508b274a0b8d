//! Which occurrences become an event of their own, which count up another one, and which are too many. The rules and
//! numbers are client-go's (`tools/record/events_cache.go`).

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;

use super::Type;

/// Objects and messages remembered, least recently used first out.
const REMEMBERED_MAX: usize = 4096;
/// So many different messages of one reason and object within the interval are combined into one event.
const SIMILAR_MAX: usize = 10;
const SIMILAR_INTERVAL_SECONDS: i64 = 600;
/// So many events an object may make at once, and one more every five minutes.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;

/// Something happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Occurrence {
    pub object: ObjectReference,
    pub r#type: Type,
    pub reason: String,
    pub message: String,
    pub at: Timestamp,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create { name: String, message: String, count: i32 },
    Count { name: String, message: String, count: i32 },
}

/// Remembers what was recorded.
pub(super) struct Correlator {
    budgets: Recent<ObjectId, Budget>,
    similar: Recent<(ObjectId, Type, String), Similar>,
    written: Recent<(ObjectId, Type, String, String), Written>,
}

/// What tells involved objects apart.
type ObjectId = (String, String, String, String);

/// A token bucket.
struct Budget {
    tokens: f64,
    at: Timestamp,
}

struct Similar {
    messages: HashSet<String>,
    at: Timestamp,
}

struct Written {
    name: String,
    count: i32,
}

impl Correlator {
    pub fn new() -> Self {
        Self { budgets: Recent::new(), similar: Recent::new(), written: Recent::new() }
    }

    /// Absent when the object made too many events already.
    pub fn correlate(&mut self, occurrence: &Occurrence) -> Option<Action> {
        let id = object_id(&occurrence.object);
        let now = occurrence.at;
        let message = self.combine(&id, occurrence);
        let budget = self.budgets.entry(id.clone(), || Budget { tokens: BURST, at: now });
        let elapsed = seconds_between(budget.at, now);
        budget.tokens = (budget.tokens + elapsed / REFILL_SECONDS).min(BURST);
        budget.at = now;
        if budget.tokens < 1.0 {
            return None;
        }
        budget.tokens -= 1.0;

        let combined = message.is_some();
        let message = message.unwrap_or_else(|| occurrence.message.clone());
        // Combined events are one, whatever their last message says.
        let identity = if combined { String::new() } else { message.clone() };
        let key = (id, occurrence.r#type, occurrence.reason.clone(), identity);
        let written = self.written.entry(key, || Written { name: event_name(occurrence), count: 0 });
        written.count = written.count.saturating_add(1);
        let (name, count) = (written.name.clone(), written.count);
        Some(if count == 1 { Action::Create { name, message, count } } else { Action::Count { name, message, count } })
    }

    /// The message of the combined event, when there are too many similar ones.
    fn combine(&mut self, id: &ObjectId, occurrence: &Occurrence) -> Option<String> {
        let key = (id.clone(), occurrence.r#type, occurrence.reason.clone());
        let fresh = || Similar { messages: HashSet::new(), at: occurrence.at };
        let similar = self.similar.entry(key, fresh);
        if seconds_between(similar.at, occurrence.at) > SIMILAR_INTERVAL_SECONDS as f64 {
            similar.messages.clear();
        }
        similar.at = occurrence.at;
        if similar.messages.len() < SIMILAR_MAX {
            similar.messages.insert(occurrence.message.clone());
        }
        (similar.messages.len() >= SIMILAR_MAX)
            .then(|| format!("(combined from similar events): {}", occurrence.message))
    }
}

fn object_id(object: &ObjectReference) -> ObjectId {
    (
        object.kind.clone().unwrap_or_default(),
        object.namespace.clone().unwrap_or_default(),
        object.name.clone().unwrap_or_default(),
        object.uid.clone().unwrap_or_default(),
    )
}

/// The object's name and the time in nanoseconds, in hexadecimal.
fn event_name(occurrence: &Occurrence) -> String {
    let object = occurrence.object.name.as_deref().unwrap_or_default();
    format!("{object}.{:x}", occurrence.at.as_nanosecond())
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}

/// A map that forgets what was not used for longest.
struct Recent<Key, Value> {
    entries: HashMap<Key, (u64, Value)>,
    clock: u64,
}

impl<Key: Clone + Eq + std::hash::Hash, Value> Recent<Key, Value> {
    fn new() -> Self {
        Self { entries: HashMap::new(), clock: 0 }
    }

    fn entry(&mut self, key: Key, fresh: impl FnOnce() -> Value) -> &mut Value {
        self.clock += 1;
        if self.entries.len() >= REMEMBERED_MAX && !self.entries.contains_key(&key) {
            self.forget_older_half();
        }
        let (used, value) = self.entries.entry(key).or_insert_with(|| (0, fresh()));
        *used = self.clock;
        value
    }

    /// Half at once, so that the search is paid for once in many entries.
    fn forget_older_half(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = ages.len() / 2;
        let (_, &mut median, _) = ages.select_nth_unstable(middle);
        self.entries.retain(|_, (used, _)| *used >= median);
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn occurrence(name: &str, message: &str, seconds: i64) -> Occurrence {
        Occurrence {
            object: ObjectReference { kind: Some("Pod".into()), name: Some(name.into()), ..ObjectReference::default() },
            r#type: Type::Warning,
            reason: "FailedScheduling".into(),
            message: message.into(),
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds),
        }
    }

    #[test]
    fn equal_events_count_up() {
        let mut correlator = Correlator::new();
        let name = "a.3b9aca00".to_owned();
        let message = "no room".to_owned();
        assert_eq!(
            correlator.correlate(&occurrence("a", "no room", 1)),
            Some(Action::Create { name: name.clone(), message: message.clone(), count: 1 })
        );
        assert_eq!(
            correlator.correlate(&occurrence("a", "no room", 2)),
            Some(Action::Count { name, message, count: 2 })
        );
        assert!(matches!(correlator.correlate(&occurrence("b", "no room", 2)), Some(Action::Create { .. })));
    }

    #[test]
    fn many_similar_events_become_one() {
        let mut correlator = Correlator::new();
        for n in 0..9 {
            assert!(matches!(
                correlator.correlate(&occurrence("a", &n.to_string(), n)),
                Some(Action::Create { count: 1, .. })
            ));
        }
        let Some(Action::Create { name, message, .. }) = correlator.correlate(&occurrence("a", "nine", 9)) else {
            panic!("the combined event is created")
        };
        assert_eq!(message, "(combined from similar events): nine");
        assert_eq!(
            correlator.correlate(&occurrence("a", "ten", 10)),
            Some(Action::Count { name, message: "(combined from similar events): ten".into(), count: 2 })
        );
        assert!(
            matches!(correlator.correlate(&occurrence("a", "later", 700)), Some(Action::Create { message, .. }) if message == "later")
        );
    }

    #[test]
    fn an_object_that_makes_too_many_is_silenced_for_a_while() {
        let mut correlator = Correlator::new();
        let written = (0..40).filter(|_| correlator.correlate(&occurrence("a", "again", 0)).is_some()).count();
        assert_eq!(written, 25);
        assert!(correlator.correlate(&occurrence("a", "again", 299)).is_none());
        assert!(correlator.correlate(&occurrence("a", "again", 300)).is_some());
        assert!(correlator.correlate(&occurrence("b", "again", 0)).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::new();
        for n in 0..100_000 {
            *recent.entry(n, || 0) += 1;
            assert!(recent.entries.len() <= REMEMBERED_MAX);
        }
        assert!(recent.entries.contains_key(&99_999));
    }
}
