//! Patches that somebody made to hurt: what they make of an object is bounded, and a merge that was done is done.

use keelson_fuzzing::{Documents, Objects, fuzz};
use keelson_types::decode::{MANAGED_DEPTH_MAX, depth};
use serde_json::{Value, json};

use super::{PatchType, PodSchema};
use crate::patch::{json::COPIED_BYTES_MAX, patch};

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "labels": {"a": "1", "b/c": "2"}, "finalizers": ["x", "y"]},
        "spec": {
            "containers": [{"name": "a", "image": "i", "env": [{"name": "E", "value": "1"}], "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "emptyDir": {}}], "strategy": {"type": "Recreate"}, "atomic": {"k": 1},
        },
    })
}

/// Lists of elements with keys that are in one another, by the schema.
const SETTLED_AFTER: usize = 4;

/// Objects of one shape, as many as there are patches.
fn pods(patches: &[Value]) -> Objects {
    Objects::new(vec![pod(); patches.len()], &["name", "containers", "env", "finalizers", "volumes", "strategy"])
}

#[test]
fn what_a_json_patch_builds_is_bounded() {
    let patches = vec![
        json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "b"}}]),
        json!([{"op": "test", "path": "/metadata/labels/b~1c", "value": "2"}, {"op": "remove", "path": "/metadata/labels/b~1c"}]),
        json!([{"op": "copy", "from": "/spec", "path": "/metadata/labels/x"}, {"op": "copy", "from": "/metadata", "path": "/spec/y"}]),
        json!([{"op": "move", "from": "/spec/volumes/0", "path": "/spec/containers/0"}]),
        json!([{"op": "replace", "path": "", "value": {"metadata": {}}}, {"op": "add", "path": "/metadata/labels", "value": {}}]),
        json!([{"op": "test", "path": "/metadata/nothing", "value": null}]),
    ];
    let words = [
        "op",
        "path",
        "from",
        "value",
        "/spec",
        "/spec/containers/-",
        "/-",
        "",
        "~1~0",
        "/metadata/labels/18446744073709551616",
    ];
    fuzz!((pods(&patches), Documents::new(patches, &words)), |(object, text)| {
        let (deep, long) = (depth(object), object.to_string().len());
        let Ok(patched) = patch(PatchType::Json, object.clone(), text, &PodSchema) else { return false };
        assert!(depth(&patched) <= MANAGED_DEPTH_MAX.max(deep), "it nests {} levels", depth(&patched));
        assert!(patched.to_string().len() <= long + 6 * text.len() + COPIED_BYTES_MAX);
        true
    });
}

#[test]
fn a_merge_patch_that_was_applied_is_applied() {
    let patches = vec![
        json!({"metadata": {"labels": {"a": null, "new": "1"}}, "spec": {"containers": []}}),
        json!({"spec": null, "status": {"a": {"b": {"c": null}}}}),
    ];
    fuzz!((pods(&patches), Documents::new(patches, &[])), |(object, text)| {
        let Ok(once) = patch(PatchType::Merge, object.clone(), text, &PodSchema) else { return false };
        let twice = patch(PatchType::Merge, once.clone(), text, &PodSchema).expect("merges again");
        assert_eq!(twice, once);
        true
    });
}

#[test]
fn a_strategic_patch_is_merged_or_told_what_does_not_fit() {
    let patches = vec![
        json!({"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "a", "env": [{"name": "E", "value": "2"}]}]}}),
        json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "$patch": "delete"}]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "$setElementOrder/finalizers": ["y"]}}),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "RollingUpdate"}, "volumes": [{"$patch": "replace"}]}}),
        json!({"metadata": {"$patch": "replace", "name": "q"}, "spec": {"atomic": {"z": 1}}}),
    ];
    let words = [
        "$patch",
        "delete",
        "replace",
        "merge",
        "$retainKeys",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
        "containers",
        "name",
    ];
    fuzz!((pods(&patches), Objects::new(patches, &words)), |(object, wanted)| {
        let text = wanted.to_string();
        let merged = |object: Value| patch(PatchType::Strategic, object, text.as_bytes(), &PodSchema);
        let Ok(once) = merged(object.clone()) else { return false };
        assert!(depth(&once) <= depth(object).max(depth(wanted)));
        // A list is taken as it is where there was none, and merged from then on, and so are those in its elements: what is in it
        // twice settles level by level, or is refused.
        let mut before = once;
        for _ in 0..SETTLED_AFTER {
            let Ok(after) = merged(before.clone()) else { return true };
            if after == before {
                return true;
            }
            before = after;
        }
        panic!("it never settles: {before}")
    });
}
