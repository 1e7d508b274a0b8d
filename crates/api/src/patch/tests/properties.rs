//! What holds for every object and patch.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{PatchType, PodSchema, Schema, patched};
use crate::patch::{strategic, three_way};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..5i64).prop_map(Value::from),
        "[a-c]{1,2}".prop_map(Value::from)
    ]
}

/// Objects without directives, nulls or lists of mixed kinds, around the fields that [`PodSchema`] knows.
fn object() -> impl Strategy<Value = Value> {
    let container = ("[a-d]", proptest::option::of(scalar()), proptest::collection::btree_map("[X-Z]", scalar(), 0..3))
        .prop_map(|(name, image, env)| {
            let env: Vec<Value> = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            let mut container = json!({"name": name, "env": env});
            if let Some(image) = image {
                container["image"] = image;
            }
            container
        });
    let containers = proptest::collection::vec(container, 0..4).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|container| seen.insert(container["name"].to_string()));
        list
    });
    let finalizers = proptest::collection::btree_set("[a-d]", 0..4).prop_shuffle_set();
    (containers, finalizers, proptest::collection::btree_map("[a-d]", scalar(), 0..4)).prop_map(
        |(containers, finalizers, labels)| {
            let labels: Map<String, Value> = labels.into_iter().collect();
            json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"containers": containers}})
        },
    )
}

trait ShuffleSet {
    fn prop_shuffle_set(self) -> impl Strategy<Value = Vec<String>>;
}

impl<S: Strategy<Value = std::collections::BTreeSet<String>>> ShuffleSet for S {
    fn prop_shuffle_set(self) -> impl Strategy<Value = Vec<String>> {
        self.prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle()
    }
}

fn apply(original: Option<&Value>, modified: &Value, current: Value) -> Value {
    three_way(original, modified, current, &PodSchema as &dyn Schema).expect("merges")
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(object in object()) {
        for format in [PatchType::Merge, PatchType::Strategic] {
            prop_assert_eq!(&patched(format, object.clone(), json!({})).expect("merges"), &object);
        }
        prop_assert_eq!(&patched(PatchType::Json, object.clone(), json!([])).expect("applies"), &object);
    }

    #[test]
    fn a_strategic_patch_applied_twice_changes_nothing_more(object in object(), patch in object()) {
        let once = strategic(object, patch.clone(), &PodSchema).expect("merges");
        let twice = strategic(once.clone(), patch, &PodSchema).expect("merges");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn applying_what_is_there_changes_nothing(object in object()) {
        prop_assert_eq!(apply(Some(&object), &object, object.clone()), object);
    }

    #[test]
    fn when_nobody_else_wrote_applying_gives_what_is_applied(original in object(), modified in object()) {
        prop_assert_eq!(apply(Some(&original), &modified, original.clone()), modified);
    }

    #[test]
    fn applying_twice_changes_nothing_more(original in object(), modified in object(), current in object()) {
        let once = apply(Some(&original), &modified, current);
        prop_assert_eq!(apply(Some(&modified), &modified, once.clone()), once);
    }
}
