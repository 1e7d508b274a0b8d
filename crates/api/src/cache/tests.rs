//! Caches and selections, fed with events as the store would.

use keelson_proto::mvccpb::{Event, KeyValue, event::EventType};

use super::*;
use crate::select::Selection;

fn pods() -> &'static Kind {
    registry::by_name("pods").expect("pods are registered")
}

fn put(path: &str, app: &str) -> Event {
    let value = format!(r#"{{"metadata":{{"name":"x","labels":{{"app":"{app}"}}}}}}"#);
    let kv = KeyValue { key: format!("/registry/pods/{path}").into(), value: value.into(), ..KeyValue::default() };
    Event { r#type: EventType::Put as i32, kv: Some(kv), prev_kv: None }
}

fn delete(path: &str) -> Event {
    let kv = KeyValue { key: format!("/registry/pods/{path}").into(), ..KeyValue::default() };
    Event { r#type: EventType::Delete as i32, kv: Some(kv), prev_kv: None }
}

/// Revisions from 2 on, one batch of events each.
fn fed(limits: Limits, batches: Vec<Vec<Event>>) -> Arc<Caches> {
    let caches = Caches::new(limits);
    for (revision, events) in (2..).zip(batches) {
        apply(&caches, revision, events);
        advance(&caches, revision);
    }
    caches
}

const ROOMY: Limits = Limits { batches_max: 100, bytes_max: 1 << 20 };

fn seen(caches: &Caches, selection: &Selection, cursor: i64) -> Vec<(ChangeKind, String, i64)> {
    let Since::Batches(batches) = caches.since(&caches.of(pods()), cursor, 100) else { panic!("there are batches") };
    let changes = batches.iter().flat_map(|batch| &batch.changes).filter_map(|change| selection.see(change));
    changes.map(|(kind, object)| (kind, object.path().to_string(), object.revision())).collect()
}

#[test]
fn an_object_that_moves_into_and_out_of_a_selection_is_added_and_deleted() {
    let caches = fed(
        ROOMY,
        vec![
            vec![put("n/a", "web")],
            vec![put("n/a", "web")],
            vec![put("n/a", "db")],
            vec![put("n/a", "db")],
            vec![put("n/a", "web")],
            vec![delete("n/a")],
            vec![put("m/a", "web")],
        ],
    );
    let selection = Selection::parse(pods(), "n", "app=web", "").expect("parses");
    use ChangeKind::{Added, Deleted, Modified};
    let expected = [(Added, 2), (Modified, 3), (Deleted, 4), (Added, 6), (Deleted, 7)];
    let expected: Vec<_> = expected.map(|(kind, revision)| (kind, "n/a".to_owned(), revision)).into();
    assert_eq!(seen(&caches, &selection, 1), expected);
    assert_eq!(seen(&caches, &selection, 4), expected[3..]);
}

#[test]
fn a_watcher_behind_the_window_is_told_so_and_others_are_not() {
    let limits = Limits { batches_max: 2, ..ROOMY };
    let caches = fed(limits, (0..5).map(|i| vec![put(&format!("n/{i}"), "web")]).collect());
    assert_eq!(caches.of(pods()).history_start(), 4);
    assert!(matches!(caches.since(&caches.of(pods()), 3, 10), Since::Lost));
    assert!(matches!(caches.since(&caches.of(pods()), 4, 10), Since::Batches(batches) if batches.len() == 2));
    assert!(matches!(caches.since(&caches.of(pods()), 6, 10), Since::Nothing { revision: 6 }));
    let small = Limits { bytes_max: 1, ..ROOMY };
    assert_eq!(fed(small, vec![vec![put("n/a", "web")]]).of(pods()).history_start(), 2);
}

#[test]
fn a_snapshot_does_not_change_and_knows_its_revision() {
    let caches = fed(ROOMY, vec![vec![put("n/a", "web"), put("n/b", "web")]]);
    let (objects, revision) = caches.snapshot(pods());
    apply(&caches, 3, vec![delete("n/a")]);
    assert_eq!((objects.len(), revision), (2, 2));
    // The feed has applied revision 3, though it has not said so yet.
    let (objects, revision) = caches.snapshot(pods());
    assert_eq!((objects.len(), revision), (1, 3));
    assert_eq!(caches.revision(), 2);
}

#[test]
fn sizes_follow_each_change() {
    let size =
        |caches: &Caches| caches.sizes().into_iter().find(|(name, _)| name == "pods").expect("pods have a cache").1;
    let caches = fed(
        ROOMY,
        vec![
            vec![put("n/a", "web"), put("n/b", "web")],
            vec![put("n/a", "longer-than-before")],
            vec![delete("n/b"), delete("n/never")],
        ],
    );
    let object = caches.get(pods(), "n/a").expect("it is there");
    assert_eq!(size(&caches), Size::of(&object));
    assert!(size(&caches).bytes > size(&caches).text_bytes && size(&caches).text_bytes == object.json().len());
    // A fill counts as its changes did.
    let cache = caches.of(pods());
    cache.fill(caches.snapshot(pods()).0, 9);
    assert_eq!(size(&caches), Size::of(&object));
    apply(&caches, 10, vec![delete("n/a")]);
    assert_eq!(size(&caches), Size::default());
}

#[test]
fn an_unreadable_value_is_absent() {
    let mut bad = put("n/a", "web");
    if let Some(kv) = &mut bad.kv {
        kv.value = bytes::Bytes::from_static(b"k8s\0");
    }
    let caches = fed(ROOMY, vec![vec![put("n/a", "web")], vec![bad], vec![delete("n/never")]]);
    assert!(caches.get(pods(), "n/a").is_none());
    assert_eq!(caches.revision(), 4);
}

#[test]
fn allocations_follow_their_keys() {
    let key = crate::keys::node_port(30_080);
    let kv = Some(KeyValue { key: key.clone().into(), ..KeyValue::default() });
    let caches = Caches::new(ROOMY);
    apply(&caches, 2, vec![Event { r#type: EventType::Put as i32, kv: kv.clone(), prev_kv: None }]);
    assert!(caches.is_allocated(&key));
    apply(&caches, 3, vec![Event { r#type: EventType::Delete as i32, kv, prev_kv: None }]);
    assert!(!caches.is_allocated(&key));
}

#[tokio::test]
async fn a_reader_waits_for_a_revision_that_comes() {
    let caches = Caches::new(ROOMY);
    let (waited, ()) = tokio::join!(caches.wait(2), async { advance(&caches, 2) });
    waited.expect("comes");
}

#[test]
fn an_unknown_field_is_refused() {
    let refused = Selection::parse(pods(), "", "", "spec.unheardOf=x").expect_err("is not offered");
    assert_eq!((refused.code, refused.message.as_str()), (400, "field label not supported: spec.unheardOf"));
    Selection::parse(pods(), "", "a in (", "").expect_err("is no selector");
}
