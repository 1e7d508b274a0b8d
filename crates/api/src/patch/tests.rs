//! Tables of known examples, and properties over random objects.

mod fuzz;
mod properties;

use keelson_types::merge::{Rule, Strategy};
use serde_json::{Value, json};

use super::*;

/// The fields of a pod, without the rest of the registry.
struct PodSchema;

impl Schema for PodSchema {
    fn rule(&self, path: &str) -> Option<Rule> {
        let rule = |strategy, key| Some(Rule { strategy, key });
        match path {
            "spec.containers" | "spec.containers.env" => rule(Strategy::Merge, Some("name")),
            "spec.containers.ports" => rule(Strategy::Merge, Some("containerPort")),
            "spec.volumes" => rule(Strategy::MergeRetainKeys, Some("name")),
            "metadata.finalizers" => rule(Strategy::Merge, None),
            "spec.strategy" => rule(Strategy::RetainKeys, None),
            "spec.atomic" => rule(Strategy::Replace, None),
            _ => None,
        }
    }
}

fn patched(format: PatchType, object: Value, patch: Value) -> Result<Value, Error> {
    super::patch(format, object, patch.to_string().as_bytes(), &PodSchema)
}

#[test]
fn only_a_scalar_is_a_merge_key() {
    let object = json!({"spec": {"containers": [{"name": "a"}]}});
    for element in [
        json!({"name": null, "image": "i"}),
        json!({"name": null, "$patch": "delete"}),
        json!({"name": {"a": null}, "image": "i"}),
        json!({"name": [], "image": "i"}),
    ] {
        let patch = json!({"spec": {"containers": [element]}});
        let error = patched(PatchType::Strategic, object.clone(), patch).expect_err("is nobody's key");
        assert!(error.to_string().contains("does not contain declared merge key: name"), "{error}");
    }
}

#[test]
fn strategic_patches_do_what_kubernetes_documents() {
    let containers = |names: &[&str]| -> Value {
        let list: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "old"})).collect();
        json!({"spec": {"containers": list}})
    };
    let table = [
        (
            "a field is set and null removes one",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": "9", "b": null, "c": null}}}),
            json!({"metadata": {"labels": {"a": "9"}}}),
        ),
        (
            "an element merges by its key, a new one comes first as in the patch",
            containers(&["a"]),
            json!({"spec": {"containers": [{"name": "b", "image": "new"}]}}),
            json!({"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "a", "image": "old"}]}}),
        ),
        (
            "kubectl set image keeps what others injected in its place",
            containers(&["b", "x", "a"]),
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
                            "containers": [{"name": "b", "image": "new"}]}}),
            json!({"spec": {"containers": [{"name": "x", "image": "old"}, {"name": "a", "image": "old"},
                                           {"name": "b", "image": "new"}]}}),
        ),
        (
            "an element is deleted by its key",
            containers(&["a", "b"]),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            containers(&["b"]),
        ),
        (
            "a list is replaced as a whole when told so",
            containers(&["a", "b"]),
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c", "image": "old"}]}}),
            containers(&["c"]),
        ),
        (
            "a map is replaced when told so",
            json!({"spec": {"nodeSelector": {"a": "1"}}}),
            json!({"spec": {"nodeSelector": {"$patch": "replace", "b": "2"}}}),
            json!({"spec": {"nodeSelector": {"b": "2"}}}),
        ),
        (
            "a map is emptied when told so",
            json!({"spec": {"nodeSelector": {"a": "1"}}}),
            json!({"spec": {"nodeSelector": {"$patch": "delete"}}}),
            json!({"spec": {"nodeSelector": {}}}),
        ),
        (
            "$patch: merge is the default said aloud",
            json!({"spec": {"nodeSelector": {"a": "1"}}}),
            json!({"spec": {"nodeSelector": {"$patch": "merge", "b": "2"}}}),
            json!({"spec": {"nodeSelector": {"a": "1", "b": "2"}}}),
        ),
        (
            "scalars merge as a set, and leave by $deleteFromPrimitiveList",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a", "nobody"]}}),
            json!({"metadata": {"finalizers": ["c", "b"]}}),
        ),
        (
            "retained keys are all that stays of a union",
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        ),
        (
            "a list that nobody declared is replaced",
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        ),
        (
            "an atomic map is replaced",
            json!({"spec": {"atomic": {"a": 1}}}),
            json!({"spec": {"atomic": {"b": 2}}}),
            json!({"spec": {"atomic": {"b": 2}}}),
        ),
        (
            "directives and nulls do not survive in a field that was not there",
            json!({}),
            json!({"spec": {"containers": [{"name": "a", "image": null}, {"name": "b", "$patch": "delete"}],
                            "$setElementOrder/containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        ),
        (
            "lists merge inside merged elements",
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 1}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}], "ports": [{"containerPort": 2}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}],
                                            "ports": [{"containerPort": 2}, {"containerPort": 1}]}]}}),
        ),
        (
            "a list changes its type to what the patch says",
            json!({"spec": {"nodeSelector": "nonsense"}}),
            json!({"spec": {"nodeSelector": {"a": "1"}}}),
            json!({"spec": {"nodeSelector": {"a": "1"}}}),
        ),
    ];
    for (what, object, patch, wanted) in table {
        assert_eq!(patched(PatchType::Strategic, object, patch).expect(what), wanted, "{what}");
    }
}

#[test]
fn strategic_patches_that_make_no_sense_say_why() {
    let pod =
        json!({"spec": {"containers": [{"name": "a"}], "strategy": {"type": "x"}}, "metadata": {"finalizers": ["a"]}});
    let table = [
        (json!([1]), 400, "error decoding patch: a strategic merge patch of an object must be an object"),
        (
            json!({"spec": {"$patch": "explode"}}),
            400,
            "error decoding patch: spec: unknown patch type found: \"explode\"; $patch is replace, delete or merge",
        ),
        (
            json!({"spec": {"containers": [{"image": "x"}]}}),
            422,
            "spec.containers: element {\"image\":\"x\"} does not contain declared merge key: name",
        ),
        (
            json!({"metadata": {"finalizers": [{"a": 1}]}}),
            422,
            "metadata.finalizers: the list holds objects and scalars together",
        ),
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
            400,
            "error decoding patch: $deleteFromPrimitiveList/finalizers must be a list, got \"a\"",
        ),
        (
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}),
            400,
            "error decoding patch: spec.strategy: $retainKeys does not name rollingUpdate, which the patch sets",
        ),
        (
            json!({"spec": {"$setElementOrder/containers": [{"name": "z"}], "containers": [{"name": "a"}]}}),
            400,
            "error decoding patch: spec.containers: the order in the patch's list does not match its $setElementOrder list",
        ),
    ];
    for (patch, code, message) in table {
        let error = patched(PatchType::Strategic, pod.clone(), patch).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert_eq!(Status::from(error).code, code, "{message}");
    }
}

#[test]
fn json_patches_apply_in_order_and_name_the_operation_that_fails() {
    let object = json!({"data": {"a": "1"}});
    let patch = json!([{"op": "add", "path": "/data/y", "value": "3"}, {"op": "remove", "path": "/data/a"}]);
    assert_eq!(patched(PatchType::Json, object.clone(), patch).expect("applies"), json!({"data": {"y": "3"}}));

    let error = patched(
        PatchType::Json,
        object.clone(),
        json!([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/zz", "value": 1}]),
    )
    .expect_err("there is no zz");
    assert!(error.to_string().starts_with("operation 1 (replace \"/data/zz\"): "), "{error}");
    assert_eq!(Status::from(error).code, 422);

    // A field that is not there is null to a test, as in Kubernetes: so does kube-rs add the first finalizer.
    let first =
        json!([{"op": "test", "path": "/data/z", "value": null}, {"op": "add", "path": "/data/z", "value": "1"}]);
    assert_eq!(
        patched(PatchType::Json, object.clone(), first.clone()).expect("applies"),
        json!({"data": {"a": "1", "z": "1"}})
    );
    let there = json!({"data": {"z": "0"}});
    patched(PatchType::Json, there, first).expect_err("is there");
    for path in ["/none/z", "/data/a/z", ""] {
        let test = json!([{"op": "test", "path": path, "value": null}]);
        patched(PatchType::Json, object.clone(), test).expect_err("there is no map that could have it");
    }

    let error = patched(PatchType::Json, object, json!([{"op": "explode"}])).expect_err("no such operation");
    assert_eq!(Status::from(error).code, 400);
}

#[test]
fn json_patches_cannot_grow_an_object_without_bound() {
    let big = json!({"a": "x".repeat(100_000)});
    let copies: Vec<Value> = (0..40).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})).collect();
    let error = patched(PatchType::Json, big, Value::Array(copies)).expect_err("doubles forty times");
    assert_eq!(Status::from(error).code, 413);
}

/// `levels` lists, each in the next.
fn deep(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| json!([inner]))
}

#[test]
fn json_patches_cannot_nest_an_object_without_bound() {
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let adds = (0..4).map(|round| add(&"/0".repeat(60 * round), deep(61))).collect();
    let single_adds = (0..1000).map(|round| add(&"/0".repeat(round), json!([0]))).collect();
    let copy = |round: u32| json!({"op": "copy", "from": "/x", "path": format!("/x{}", "/0".repeat(2 << round))});
    let copies = std::iter::once(add("/x", json!([[]]))).chain((0..17).map(copy)).collect();
    let replace = json!({"op": "replace", "path": format!("/x{}", "/0".repeat(60)), "value": deep(60)});
    let moves = vec![
        add("/x", deep(61)),
        add("/y", deep(61)),
        json!({"op": "move", "from": "/y", "path": format!("/x{}", "/0".repeat(60))}),
    ];
    let table: [(&str, Vec<Value>); 6] = [
        ("adds", adds),
        ("single adds", single_adds),
        ("copies that double", copies),
        ("a deep value", vec![add("/x", deep(116))]),
        ("a replaced value", vec![add("/x", deep(61)), replace]),
        ("a moved value", moves),
    ];
    for (what, operations) in table {
        let error = patched(PatchType::Json, json!({"x": []}), Value::Array(operations)).expect_err(what);
        assert!(error.to_string().ends_with(": the object would nest deeper than 110 levels"), "{what}: {error}");
        assert_eq!(Status::from(error).code, 422, "{what}");
    }
    let deepest = patched(PatchType::Json, json!({}), json!([add("/x", deep(109))])).expect("109 within one");
    assert_eq!(deepest, json!({"x": deep(109)}));
    // What was deeper before may stay, and be tested and moved upwards.
    let object = json!({"x": [deep(120)]});
    let operations = json!([
        {"op": "test", "path": "/x/0", "value": deep(120)},
        {"op": "move", "from": "/x/0", "path": "/y"},
        {"op": "remove", "path": "/x"},
    ]);
    assert_eq!(patched(PatchType::Json, object, operations).expect("applies"), json!({"y": deep(120)}));
}

#[test]
fn merged_objects_are_no_deeper_than_object_and_patch() {
    let (object, patch) = (json!({"x": {"y": deep(90)}}), json!({"x": {"z": deep(110)}}));
    for format in [PatchType::Merge, PatchType::Strategic] {
        let merged = patched(format, object.clone(), patch.clone()).expect("merges");
        assert_eq!(merged, json!({"x": {"y": deep(90), "z": deep(110)}}));
    }
    assert!(patched(PatchType::Merge, object, json!({"x": deep(127)})).is_err(), "128 levels are not parsed");
}

#[test]
fn merge_patches_replace_lists_and_remove_by_null() {
    let object = json!({"a": [1, 2], "b": {"c": 1, "d": 2}});
    let merged = patched(PatchType::Merge, object, json!({"a": [3], "b": {"c": null}})).expect("merges");
    assert_eq!(merged, json!({"a": [3], "b": {"d": 2}}));
    assert!(patched(PatchType::Merge, json!({}), json!([])).is_err());
}

#[test]
fn applying_merges_three_ways() {
    let table = [
        (
            "a field that was applied and is not any more goes; one the server added stays",
            json!({"spec": {"a": 1, "b": 2}}),
            json!({"spec": {"a": 5}}),
            json!({"spec": {"a": 1, "b": 2, "nodeName": "n"}, "status": {"phase": "Running"}}),
            json!({"spec": {"a": 5, "nodeName": "n"}, "status": {"phase": "Running"}}),
        ),
        (
            "an element that was applied goes, an injected one stays in place",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "new"}]}}),
            json!({"spec": {"containers": [{"name": "x"}, {"name": "a", "image": "old", "imagePullPolicy": "Always"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "x"}, {"name": "a", "image": "new", "imagePullPolicy": "Always"}]}}),
        ),
        (
            "a union drops the alternative that the applier left",
            json!({"spec": {"strategy": {"type": "RollingUpdate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        ),
        (
            "an unchanged union keeps its defaults",
            json!({"spec": {"strategy": {"type": "RollingUpdate"}}}),
            json!({"spec": {"strategy": {"type": "RollingUpdate"}}}),
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}}),
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}}),
        ),
        (
            "a volume changes its source",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}}),
        ),
        (
            "the same port over two protocols is not folded into one",
            json!({}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]}]}}),
        ),
    ];
    for (what, original, modified, current, wanted) in table {
        assert_eq!(three_way(Some(&original), &modified, current, &PodSchema).expect(what), wanted, "{what}");
    }
}
