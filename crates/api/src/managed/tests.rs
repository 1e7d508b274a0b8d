use keelson_fuzzing::{Objects, fuzz};
use keelson_types::decode::{MANAGED_DEPTH_MAX, depth};
use keelson_types::registry;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn kind(name: &str) -> &'static Kind {
    registry::by_name(name).expect("a kind")
}

fn writer<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, subresource: "", now }
}

/// Applies in turn; an object on which Kubernetes' own defaults are not filled in.
fn applied(name: &str, live: Option<&Value>, config: &Value, manager: &str) -> Result<Value, Status> {
    apply(kind(name), live, config.clone(), false, writer(manager, "T2"))
}

fn forced(name: &str, live: &Value, config: &Value, manager: &str) -> Value {
    apply(kind(name), Some(live), config.clone(), true, writer(manager, "T2")).expect("is applied")
}

/// An update by a manager that knows nothing of managed fields.
fn update(name: &str, live: &Value, manager: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut new = live.clone();
    change(&mut new);
    let managed = updated(kind(name), live, &new, writer(manager, "T3")).expect("is updated");
    crate::value::set_metadata(&mut new, "managedFields", managed.unwrap_or_default());
    new
}

/// `manager operation: fields` of each entry.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let line = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let fields = Fields::decode(&entry["fieldsV1"]).expect("are fields").paths();
        format!("{} {}: {}", text("manager"), text("operation"), fields.join(" "))
    };
    entries.map(line).collect()
}

fn map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data})
}

fn deployment(containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"app.io/name": "d"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "d"}}, "template": {"spec": {"containers": containers}}},
    })
}

#[test]
fn an_apply_has_what_it_states() {
    let config = deployment(&json!([{"name": "a", "image": "a:1", "ports": [{"containerPort": 80}], "args": ["x"]}]));
    let object = applied("deployments", None, &config, "me").expect("is applied");
    let expected = json!([{
        "manager": "me", "operation": "Apply", "apiVersion": "apps/v1", "time": "T2", "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:app.io/name": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {
                    ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                }}}},
            },
        },
    }]);
    assert_eq!(object["metadata"]["managedFields"], expected);
    let again = apply(kind("deployments"), Some(&object), config, false, writer("me", "T9")).expect("is applied");
    assert_eq!(again, object, "the second time changes nothing, not even the time");
}

#[test]
fn an_update_takes_what_it_changes() {
    let object = applied("configmaps", None, &map(&json!({"a": "1", "b": "1"})), "me").expect("is applied");
    let object = update("configmaps", &object, "other", |object| {
        object["data"]["a"] = "2".into();
        object["metadata"]["labels"] = json!({"x": "y"});
    });
    let expected = ["me Apply: .data.b", "other Update: .data.a .metadata.labels .metadata.labels.x"];
    assert_eq!(managers(&object), expected);
    let object = update("configmaps", &object, "third", |object| {
        object["data"].as_object_mut().expect("a map").remove("a");
    });
    assert_eq!(managers(&object), ["me Apply: .data.b", "other Update: .metadata.labels .metadata.labels.x"]);
    assert_eq!(update("configmaps", &object, "third", |_| {}), object, "who changes nothing is not named");

    let made = created(kind("configmaps"), &map(&json!({"a": "1"})), writer("maker", "T1")).expect("is kept");
    let mut object = map(&json!({"a": "1"}));
    crate::value::set_metadata(&mut object, "managedFields", made);
    assert_eq!(managers(&object), ["maker Update: .data .data.a"]);
    let forgotten = update("configmaps", &object, "x", |object| object["metadata"]["managedFields"] = json!([{}]));
    assert!(managers(&forgotten).is_empty());
    assert!(created(kind("leases"), &json!({"spec": {}}), writer("node", "T1")).is_none());
}

#[test]
fn a_conflict_names_every_field_and_its_manager() {
    let object = applied("configmaps", None, &map(&json!({"a": "1", "b": "1"})), "me").expect("is applied");
    let object = update("configmaps", &object, "editor", |object| object["data"]["b"] = "2".into());
    let other = map(&json!({"a": "3"}));
    let status = applied("configmaps", Some(&object), &other, "you").expect_err("conflicts");
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"me\": .data.a");
    let cause = &status.details.as_ref().expect("details").causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".data.a"));
    assert_eq!(cause.message, "conflict with \"me\"");

    let status =
        applied("configmaps", Some(&object), &map(&json!({"a": "3", "b": "3"})), "you").expect_err("conflicts");
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"editor\" using v1:\n- .data.b\nconflicts with \"me\":\n- .data.a"
    );
    let taken = forced("configmaps", &object, &other, "you");
    assert_eq!(taken["data"], json!({"a": "3", "b": "2"}));
    assert_eq!(managers(&taken), ["you Apply: .data.a", "editor Update: .data.b"]);

    let shared = applied("configmaps", Some(&object), &map(&json!({"a": "1"})), "you").expect("the same value");
    assert_eq!(managers(&shared), ["me Apply: .data.a", "you Apply: .data.a", "editor Update: .data.b"]);
}

#[test]
fn what_a_manager_gives_up_goes_unless_another_has_it() {
    let first = json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]);
    let mut object = applied("deployments", None, &deployment(&first), "me").expect("is applied");
    let containers = |object: &Value| object["spec"]["template"]["spec"]["containers"].clone();
    // Defaults belong to nobody, and go with what they belong to.
    object["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always".into();
    let mut config = deployment(&json!([{"name": "a"}]));
    config["metadata"].as_object_mut().expect("a map").remove("labels");
    let given_up = applied("deployments", Some(&object), &config, "me").expect("is applied");
    assert_eq!(containers(&given_up), json!([{"name": "a"}]));
    assert!(given_up["metadata"].get("labels").is_none(), "{given_up}");
    assert_eq!(given_up["metadata"]["name"], "d");

    let shared = deployment(&json!([{"name": "b", "image": "b:1"}]));
    let both = applied("deployments", Some(&object), &shared, "you").expect("the same values");
    let left = applied("deployments", Some(&both), &config, "me").expect("is applied");
    let mut kept = object["spec"]["template"]["spec"]["containers"][1].clone();
    assert_eq!(containers(&left), json!([{"name": "a"}, kept.take()]));
    assert_eq!(left["metadata"]["labels"], json!({"app.io/name": "d"}));

    let probe = json!([{"name": "a", "livenessProbe": {"httpGet": {"port": 80}}}]);
    let mut object = applied("deployments", None, &deployment(&probe), "me").expect("is applied");
    object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodSeconds"] = 10.into();
    let object = applied("deployments", Some(&object), &deployment(&json!([{"name": "a"}])), "me").expect("is applied");
    assert_eq!(containers(&object), json!([{"name": "a"}]), "a probe goes with its defaults");
}

#[test]
fn lists_merge_by_their_keys_and_sets_by_their_values() {
    let live =
        json!([{"name": "injected", "image": "i"}, {"name": "b", "image": "b:1"}, {"name": "a", "image": "a:1"}]);
    let live = applied("deployments", None, &deployment(&live), "me").expect("is applied");
    let config = deployment(&json!([{"name": "a", "image": "a:1"}, {"name": "new"}, {"name": "b", "image": "b:1"}]));
    let merged = applied("deployments", Some(&live), &config, "you").expect("is applied");
    let names: Vec<&str> = merged["spec"]["template"]["spec"]["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    assert_eq!(names, ["injected", "a", "new", "b"], "in the order of who applies, others where they were");

    let with = |finalizers: Value| {
        let mut map = map(&json!({}));
        map["metadata"]["finalizers"] = finalizers;
        map
    };
    let object = applied("configmaps", None, &with(json!(["x/a", "x/b"])), "me").expect("is applied");
    let object = applied("configmaps", Some(&object), &with(json!(["x/b", "x/c"])), "you").expect("is applied");
    assert_eq!(object["metadata"]["finalizers"], json!(["x/a", "x/b", "x/c"]));
    let object = applied("configmaps", Some(&object), &with(json!(["x/a"])), "me").expect("is applied");
    assert_eq!(object["metadata"]["finalizers"], json!(["x/a", "x/b", "x/c"]), "b is the other's, too");
    let object = applied("configmaps", Some(&object), &with(json!([])), "you").expect("is applied");
    assert_eq!(object["metadata"]["finalizers"], json!(["x/a"]));

    for wrong in [json!([{"name": "a"}, {"name": "a"}]), json!([{"image": "a"}])] {
        assert_eq!(applied("deployments", None, &deployment(&wrong), "me").expect_err("is refused").code, 400);
    }
    let mut brings = map(&json!({}));
    brings["metadata"]["managedFields"] = json!([]);
    assert_eq!(applied("configmaps", None, &brings, "me").expect_err("is refused").code, 400);
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_clients_side() {
    let mut live = map(&json!({"a": "1"}));
    live["metadata"]["annotations"] = json!({LAST_APPLIED: map(&json!({"a": "1"})).to_string()});
    let made = created(kind("configmaps"), &live, writer("kubectl-client-side-apply", "T1")).expect("is kept");
    crate::value::set_metadata(&mut live, "managedFields", made);
    let config = map(&json!({"a": "2"}));
    let object = applied("configmaps", Some(&live), &config, KUBECTL).expect("no conflict");
    assert_eq!(object["data"]["a"], "2");
    let status = applied("configmaps", Some(&live), &config, "somebody").expect_err("conflicts");
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a"
    );
    let by_others = update("configmaps", &live, "editor", |object| object["data"]["b"] = "1".into());
    applied("configmaps", Some(&by_others), &map(&json!({"b": "2"})), KUBECTL).expect_err("was never kubectl's");
}

#[test]
fn what_nobody_managed_belonged_to_somebody_before_the_first_apply() {
    let object =
        applied("configmaps", Some(&map(&json!({"a": "1"}))), &map(&json!({"b": "1"})), "me").expect("is applied");
    assert_eq!(managers(&object), ["me Apply: .data.b", "before-first-apply Update: .data .data.a"]);
    let status = applied("configmaps", Some(&map(&json!({"a": "1"}))), &map(&json!({"a": "2"})), "me");
    assert!(status.expect_err("conflicts").message.contains("before-first-apply"));
}

#[test]
fn the_status_is_applied_by_its_own_path_only() {
    let mut config = deployment(&json!([]));
    config["status"] = json!({"replicas": 3});
    let object = applied("deployments", None, &config, "me").expect("is applied");
    assert!(managers(&object)[0].contains(".spec.replicas") && !managers(&object)[0].contains(".status"));
    let by_status = Writer { manager: "me", subresource: "status", now: "T2" };
    config["spec"]["replicas"] = 9.into();
    let object = apply(kind("deployments"), Some(&object), config, false, by_status).expect("is applied");
    assert_eq!((&object["status"]["replicas"], &object["spec"]["replicas"]), (&json!(3), &json!(1)));
    assert_eq!(object["metadata"]["managedFields"][1]["subresource"], "status");
    assert_eq!(managers(&object)[1], "me Apply: .status.replicas");
}

#[test]
fn the_managers_of_an_object_are_bounded() {
    let mut object = applied("configmaps", None, &map(&json!({"kept": "1"})), "me").expect("is applied");
    for index in 0..40 {
        let manager = format!("m{index}");
        object = update("configmaps", &object, &manager, |object| object["data"][&manager] = "1".into());
    }
    let managers = managers(&object);
    assert_eq!(managers.len(), 11, "{managers:?}");
    assert!(managers.iter().any(|line| line.starts_with("ancient-changes Update") && line.contains(".data.m0 ")));
    assert!(managers.contains(&"m39 Update: .data.m39".to_owned()));
}

#[test]
fn what_is_no_set_of_fields_is_refused() {
    for wrong in
        [json!([]), json!({"x:a": {}}), json!({"k:[]": {}}), json!({"i:x": {}}), json!({"f:a": 1}), json!({"v:{": {}})]
    {
        assert!(Fields::decode(&wrong).is_err(), "{wrong}");
    }
    let spaced = Fields::decode(&json!({"k:{\"b\": 1, \"a\":2}": {}})).expect("is one");
    assert_eq!(spaced.paths(), ["[a=2,b=1]"]);
    assert_eq!(
        Fields::decode(&json!({"f:a": {"v:\"x\"": {}, "i:3": {}}})).expect("is one").paths(),
        [".a[3]", ".a[=\"x\"]"]
    );
}

/// Deployments of few names and values, so that they meet.
fn configs() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["1", "2", "3"]);
    let labels = prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), text(), 0..3);
    let port = prop::sample::select(vec![80, 81]);
    let container = (prop::option::of(text()), prop::collection::btree_set(port, 0..2));
    let containers = prop::collection::btree_map(prop::sample::select(vec!["x", "y", "z"]), container, 0..3);
    (labels, containers, prop::option::of(0..3i64)).prop_map(|(labels, containers, replicas)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, (image, ports))| {
                let mut container = json!({"name": name});
                if let Some(image) = image {
                    container["image"] = image.into();
                }
                if !ports.is_empty() {
                    container["ports"] = ports.iter().map(|port| json!({"containerPort": port})).collect();
                }
                container
            })
            .collect();
        let mut config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}});
        if !labels.is_empty() {
            config["metadata"]["labels"] = json!(labels);
        }
        if !containers.is_empty() {
            config["spec"]["template"]["spec"]["containers"] = containers.into();
        }
        if let Some(replicas) = replicas {
            config["spec"]["replicas"] = replicas.into();
        }
        config
    })
}

/// Everything that a config states is in the object, as stated, but for the order of what is told apart by keys.
fn states(object: &Value, config: &Value) -> bool {
    let Some(shape) = shape_of(kind("deployments")) else { return false };
    walk::compare(Some(object), &walk::merge(Some(object), config, shape), shape).is_empty()
}

fn everything(object: &Value) -> Fields {
    let shape = shape_of(kind("deployments")).expect("has a type");
    walk::compare(None, object, shape).taken()
}

proptest! {
    #[test]
    fn whoever_applies_gets_what_it_states(steps in prop::collection::vec((0..3usize, configs(), any::<bool>()), 1..8)) {
        let mut live: Option<Value> = None;
        let mut stated: [Option<Value>; 3] = [None, None, None];
        for (manager, config, force) in steps {
            let name = ["a", "b", "c"][manager];
            let Ok(next) = apply(kind("deployments"), live.as_ref(), config.clone(), force, writer(name, "T")) else {
                prop_assert!(!force, "force never conflicts");
                continue;
            };
            prop_assert!(states(&next, &config), "{} is not in {}", config, next);
            let again = apply(kind("deployments"), Some(&next), config.clone(), false, writer(name, "later"));
            prop_assert_eq!(again.expect("the second time there is no conflict"), next.clone());
            // Without force, what the others stated and still have stays.
            for (index, other) in stated.iter().enumerate().filter(|(index, _)| *index != manager && !force) {
                let Some((other, live)) = other.as_ref().zip(live.as_ref()) else { continue };
                let mut managers = Managers::decode(&live["metadata"]["managedFields"]).expect("decodes");
                let has = managers.take(["a", "b", "c"][index], Operation::Apply, "").map(|entry| entry.fields);
                let all = walk::owned(other, shape_of(kind("deployments")).expect("has a type")).expect("is owned");
                let had_all = has.is_some_and(|has| all.without(&unmanaged()).without(&has).is_empty());
                prop_assert!(!had_all || states(&next, other), "{} lost by {}", other, config);
            }
            // Nobody has a field that is not there, and everything is somebody's.
            let all = Managers::decode(&next["metadata"]["managedFields"]).expect("decodes").all();
            let there = everything(&next);
            prop_assert!(all.clone().without(&there).is_empty(), "{:?} is not there", all.without(&there).paths());
            let structs = all.members_and_structs().with(&unmanaged());
            prop_assert!(there.clone().without(&structs).is_empty(), "{:?} is nobody's", there.without(&structs).paths());
            stated[manager] = Some(config);
            live = Some(next);
        }
    }

    #[test]
    fn an_update_moves_what_changed_and_nothing_else(first in configs(), second in configs()) {
        let before = applied("deployments", None, &first, "me").expect("is applied");
        let after = update("deployments", &before, "editor", |object| {
            let managed = object["metadata"]["managedFields"].take();
            *object = second.clone();
            object["metadata"]["managedFields"] = managed;
        });
        let changes = walk::compare(Some(&before), &after, shape_of(kind("deployments")).expect("has a type"));
        let changes = changes.without(&unmanaged());
        let of = |object: &Value, manager, operation| {
            let mut managers = Managers::decode(&object["metadata"]["managedFields"]).expect("decodes");
            managers.take(manager, operation, "").map(|entry| entry.fields).unwrap_or_default()
        };
        prop_assert_eq!(of(&after, "editor", Operation::Update), changes.taken());
        let kept = of(&before, "me", Operation::Apply).without(&changes.taken()).without(&changes.removed);
        prop_assert_eq!(of(&after, "me", Operation::Apply), kept);
    }

    #[test]
    fn fields_survive_being_written(config in configs()) {
        let fields = walk::owned(&config, shape_of(kind("deployments")).expect("has a type")).expect("is owned");
        prop_assert_eq!(Fields::decode(&fields.encode()).expect("decodes"), fields);
    }
}

#[test]
fn an_applier_has_one_entry_whatever_a_client_brings() {
    let config = map(&json!({"a": "1", "b": "1"}));
    let mut object = applied("configmaps", None, &config, "me").expect("is applied");
    let entry = object["metadata"]["managedFields"][0].clone();
    let mut other = entry.clone();
    other["fieldsV1"] = json!({"f:data": {"f:c": {}}});
    object["data"]["c"] = "1".into();
    object["metadata"]["managedFields"] = json!([other, entry, entry]);
    let object = applied("configmaps", Some(&object), &config, "me").expect("is applied");
    assert_eq!(managers(&object), ["me Apply: .data.a .data.b"], "c is stated no more");
    assert_eq!(object["data"], config["data"]);
    assert_eq!(applied("configmaps", Some(&object), &config, "me").expect("is applied"), object);
}

#[test]
fn fields_that_are_read_are_written_and_read_again() {
    let seeds = vec![
        json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1", "time": "T", "fieldsType": "FieldsV1", "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:list": {"i:0": {}}},
        }}]),
        json!([{"manager": "n", "operation": "Update", "subresource": "status", "fieldsType": "FieldsV1"}]),
    ];
    let words = [
        "f:",
        "k:{}",
        "k:{\"b\": 1, \"a\":2}",
        "v:",
        "v:null",
        "v:1.0",
        "i:-1",
        ".",
        "f:.",
        "fieldsV1",
        "Apply",
        "Update",
    ];
    fuzz!(Objects::new(seeds, &words), |entries| {
        if depth(entries) > MANAGED_DEPTH_MAX {
            return false;
        }
        let Ok(managers) = Managers::decode(entries) else { return false };
        let written = managers.encode().unwrap_or_default();
        let again = Managers::decode(&written).expect("what was written is read");
        assert_eq!(again.encode().unwrap_or_default(), written);
        assert_eq!(again.all().encode(), managers.all().encode());
        true
    });
}

#[test]
fn a_forced_apply_of_anything_states_it_and_the_second_changes_nothing() {
    let config = deployment(&json!([{"name": "a", "image": "a:1", "ports": [{"containerPort": 80}], "args": ["x"]}]));
    let applied = applied("deployments", None, &config, "me").expect("is applied");
    let mut live = update("deployments", &applied, "editor", |object| object["spec"]["replicas"] = 3.into());
    for entry in live["metadata"]["managedFields"].as_array_mut().expect("has managers") {
        entry["time"] = "2026-02-03T04:05:06Z".into();
    }
    let words =
        ["spec", "template", "containers", "ports", "name", "managedFields", "f:spec", "k:{\"name\":\"a\"}", "manager"];
    fuzz!((Objects::new(vec![live], &words), Objects::new(vec![config], &words)), |(live, config)| {
        // The pipeline has decoded both before.
        let decoded = |value: &Value| kind("deployments").decode_value(value.clone()).map(|decoded| decoded.object);
        let (Ok(live), Ok(config)) = (decoded(live), decoded(config)) else { return false };
        // What is stored twice in a list is nobody's in particular.
        if walk::owned(&live, shape_of(kind("deployments")).expect("has a type")).is_err() {
            return false;
        }
        let me = writer("me", "2026-02-03T04:05:07Z");
        let apply = |live: &Value| apply(kind("deployments"), Some(live), config.clone(), true, me);
        let Ok(once) = apply(&live) else { return false };
        assert_eq!(apply(&once).expect("is applied again"), once);
        true
    });
}
